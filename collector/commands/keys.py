"""The commands ``keys`` and ``audit``: who may send and ask, and what admins have done."""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from typing import TYPE_CHECKING, Any

import msgspec

from collector import deletions, engine, subcommands
from collector.commands import store
from collector.search.times import span
from collector.terminal.commands import terminal
from collector.terminal.tables import table
from storage import access_keys, audit, database, restriction
from storage.access_keys import SCOPES, Wanted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from storage.access_keys import AccessKey
    from storage.database import Pool

EXAMPLES = """\
examples:
  pixsim-collector keys create ops --scope admin
  pixsim-collector keys create worker --scope ingest --service worker --env prod
  pixsim-collector keys create support --scope query --service api --expires 90d
  pixsim-collector keys rotate worker --keep 24h
  pixsim-collector keys revoke support
"""
ONCE = "This key is not shown again:"
LONGEST_NAME = 100  # characters
DAY = dt.timedelta(days=1)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Make *parser* that of ``keys``."""
    subcommands.add_examples(parser, EXAMPLES)
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)

    def add(name: str, text: str, do: Callable[..., Awaitable[None]]) -> argparse.ArgumentParser:
        action = subcommands.add(actions, name, text)
        subcommands.add_config(action)
        action.set_defaults(command=_run, do=do)
        return action

    create = add("create", "make a key, and show it once", _create)
    _add_name(create)
    create.add_argument(
        "--scope",
        action="append",
        choices=SCOPES,
        required=True,
        help="what it is for: ingest (send), query (read), metrics (/metrics), or admin, which is"
        " all of it; may be given several times",
    )
    for name in ("service", "env"):
        create.add_argument(
            f"--{name}",
            action="append",
            default=[],
            metavar="NAME",
            help=f"only records of this {name}; may be given several times",
        )
    _add_expiry(create)
    listed = add("list", "show all keys, but not the keys themselves", _list)
    listed.add_argument("--json", action="store_true", help="as JSON, an object a line")
    rotate = add("rotate", "make a key in the place of one, which holds a while longer", _rotate)
    _add_name(rotate)
    rotate.add_argument(
        "--keep",
        type=_span,
        default=DAY,
        metavar="TIME",
        help="how long the former one holds, such as 24h (default: 24h)",
    )
    _add_expiry(rotate)
    _add_name(add("revoke", "let a key, and its former one, be of no use at once", _revoke))


def add_audit_arguments(parser: argparse.ArgumentParser) -> None:
    """Make *parser* that of ``audit``."""
    parser.add_argument(
        "--limit", type=int, default=100, metavar="N", help="the newest N (default: 100)"
    )
    parser.add_argument("--json", action="store_true", help="as JSON, an object a line")
    parser.set_defaults(command=_run, do=_audit)


def _add_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", type=_name, help="of the key, by which people know it")


def _add_expiry(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--expires", type=_span, metavar="TIME", help="how long it holds, such as 90d"
    )


def _name(text: str) -> str:
    if text.isprintable() and text.strip() == text and 0 < len(text) <= LONGEST_NAME:
        return text
    raise argparse.ArgumentTypeError(f"{text!r} is no name of at most {LONGEST_NAME} characters")


def _span(text: str) -> dt.timedelta:
    try:
        return span(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"{text!r} is not {exc}") from exc


def _run(arguments: argparse.Namespace) -> None:
    config = store.loaded(arguments)

    async def done(dsn: str) -> None:
        if arguments.do is _create and config.store.migrate_at_start:  # it may come before us
            await engine.upgrade(config.store, dsn, lambda _: None)
        async with database.connected(dsn, size=1) as pool:
            await arguments.do(arguments, pool)

    with store.database(config) as dsn:
        store.run(done(dsn))


async def _create(arguments: argparse.Namespace, pool: Pool) -> None:
    scopes = list(dict.fromkeys(arguments.scope))
    wanted = Wanted(
        name=arguments.name,
        scopes=scopes,
        services=arguments.service,
        envs=arguments.env,
        expires_at=_end(arguments.expires),
    )
    if (wanted.services or wanted.envs) and "query" in scopes:
        await restriction.prepare(pool)
    token = await access_keys.create(pool, wanted, deletions.local())
    _show(token)


async def _rotate(arguments: argparse.Namespace, pool: Pool) -> None:
    token = await access_keys.rotate(
        pool,
        arguments.name,
        deletions.local(),
        keep=arguments.keep,
        expires_at=_end(arguments.expires),
    )
    _show(token)


async def _revoke(arguments: argparse.Namespace, pool: Pool) -> None:
    await access_keys.revoke(pool, arguments.name, deletions.local())


async def _list(arguments: argparse.Namespace, pool: Pool) -> None:
    keys = await access_keys.all_of(pool)
    if arguments.json:
        for key in keys:
            shown = _builtins(key)
            del shown["digest"], shown["former"]
            _say(shown)
        return
    heads = ("name", "scopes", "services", "envs", "created", "last used", "state")
    now = dt.datetime.now(dt.UTC)
    rows = [
        (
            key.name,
            ", ".join(sorted(key.scopes)),
            ", ".join(key.services) or "all",
            ", ".join(key.envs) or "all",
            _day(key.created_at),
            "never" if key.last_used_at is None else _day(key.last_used_at),
            _state(key, now),
        )
        for key in keys
    ]
    for line in table(heads, rows):
        terminal().print(line)


async def _audit(arguments: argparse.Namespace, pool: Pool) -> None:
    actions = await audit.page(pool, limit=arguments.limit)
    if arguments.json:
        for each in actions:
            _say(_builtins(each))
        return
    rows = [
        (f"{each.at:%Y-%m-%d %H:%M:%S}", each.who, each.origin, each.action, each.detail)
        for each in actions
    ]
    for line in table(("time", "who", "from", "what", "detail"), rows):
        terminal().print(line)


def _end(span: dt.timedelta | None) -> dt.datetime | None:
    return None if span is None else dt.datetime.now(dt.UTC) + span


def _day(time: dt.datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M}"


def _state(key: AccessKey, now: dt.datetime) -> str:
    if key.revoked_at is not None:
        return f"revoked {_day(key.revoked_at)}"
    if key.expires_at is not None:
        return f"{'expired' if key.expires_at <= now else 'until'} {_day(key.expires_at)}"
    if key.former_until is not None and key.former_until > now:
        return f"the former one until {_day(key.former_until)}"
    return "holds"


def _builtins(shown: msgspec.Struct) -> dict[str, Any]:
    return msgspec.structs.asdict(shown)


def _say(shown: dict[str, Any]) -> None:
    sys.stdout.write(msgspec.json.encode(shown).decode() + "\n")


def _show(token: str) -> None:
    if sys.stdout.isatty():
        sys.stderr.write(f"{ONCE}\n")
    sys.stdout.write(f"{token}\n")
