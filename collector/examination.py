"""
What may be wrong with an installation, each thing with what is to be done about it.

Nothing here changes anything.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import http.client
import os
import shutil
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

from collector import engine, service, sockets
from collector.exporters.file.settings import File
from storage import (
    alert_history,
    database,
    destinations,
    examination,
    migrate,
    notifications,
    retention_clock,
    vitals,
)
from storage.errors import Unsuitable
from storage.examination import OLDEST

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from collector.config import Config
    from collector.sections import ServerTls
    from storage.examination import Examined

State: TypeAlias = Literal["ok", "warning", "problem"]

GIB = 1024**3
LEAST_FREE = GIB  # bytes of a disk
CLOCKS = dt.timedelta(seconds=1)  # by which they may differ
ASK_TIMEOUT = 2.0  # seconds, of who has a port
LONG_WAIT = dt.timedelta(minutes=10)  # of a notification


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at, how it is, and what is to be done."""

    name: str
    state: State
    told: str
    advice: str | None = None


def _ok(name: str, told: str) -> Check:
    return Check(name=name, state="ok", told=told)


def _problem(name: str, told: str, advice: str) -> Check:
    return Check(name=name, state="problem", told=told, advice=advice)


def _warning(name: str, told: str, advice: str) -> Check:
    return Check(name=name, state="warning", told=told, advice=advice)


def here(config: Config) -> Iterator[Check]:
    """Look at this machine: its ports, folders and disks."""
    settings = {server.endpoint: server.tls for server in config.servers}
    for endpoint in config.endpoints:
        yield _port(endpoint, settings[endpoint])
    for folder in _folders(config):
        yield _folder(folder)


async def there(config: Config, dsn: str) -> AsyncIterator[Check]:
    """
    Look at the database *dsn*.

    Raises:
        Unavailable: it was there, and is no longer.
    """
    try:
        await engine.reach(config.store, dsn)
    except Unsuitable as exc:
        yield _problem("pooler", str(exc), "set exporters.postgres.direct_dsn")
        return
    if config.store.pooler:
        told = f"up to {service.lent(config)} connections go through it, which it must allow"
        yield _ok("pooler", told)
    examined = await examination.examine(dsn)
    for check in _server(config, examined):
        yield check
    current = await asyncio.to_thread(migrate.current, dsn)
    if current != (head := migrate.head()):
        told = f"the schema is {current or 'missing'}, this version has {head}"
        advice = "run `pixsim-collector migrate upgrade`, or start the collector, which does it"
        if current is not None and current > head:
            advice = "a newer version has migrated it: use that one"
        yield _problem("schema", told, advice)
        return
    yield _ok("schema", f"{current}, as this version has it")
    try:
        await engine.check(config.store, dsn)
    except Unsuitable as exc:
        yield _problem("engine", str(exc), "see exporters.postgres.engine")
    async with database.connected(dsn, size=1) as pool:
        for look in (_records, _retention, _forwarders, _alerts):
            async for check in look(pool):
                yield check


def _server(config: Config, found: Examined) -> Iterator[Check]:
    if found.number < OLDEST:
        told = f"PostgreSQL {found.version}"
        yield _problem("database", told, f"use version {OLDEST // 10_000} or later")
    elif found.standby:
        yield _problem("database", "a standby, which takes no records", "name the primary server")
    else:
        yield _ok("database", f"PostgreSQL {found.version}, as {found.user}")
    if unsafe := [name for name in ("fsync", "full_page_writes") if not getattr(found, name)]:
        told = f"{' and '.join(unsafe)} off: what was acknowledged may be lost with the power"
        yield _problem("durability", told, "set them to on, and start the server anew")
    else:
        yield _ok("durability", "commits are on disk")
    yield _connections(service.connections(config), found)
    yield _clock(found.ahead)
    yield from _rights(found)


def _connections(needed: int, found: Examined) -> Check:
    told = f"{needed} needed, {found.most_connections} possible, {found.connections} used now"
    if needed > found.most_connections:
        return _problem("connections", told, "raise max_connections, or lower service.workers")
    if 2 * needed > found.most_connections:  # while the configuration is read again
        return _warning("connections", told, "a reload needs twice as many: raise max_connections")
    return _ok("connections", told)


def _clock(ahead: dt.timedelta) -> Check:
    seconds = ahead.total_seconds()
    if abs(ahead) > CLOCKS:
        told = f"the database's is {abs(seconds):.1f} s {'ahead' if seconds > 0 else 'behind'}"
        return _problem("clock", told, "let both machines have their time by NTP")
    return _ok("clock", f"both agree to {abs(seconds):.2f} s")


def _rights(found: Examined) -> Iterator[Check]:
    if not found.creates:
        told = f"{found.user} may make no tables"
        advice = f"GRANT CREATE ON SCHEMA public TO {found.user}"
        yield _problem("rights", told, f"{advice}: each day has a table")
    elif found.inserts is False:
        yield _problem(
            "rights", f"{found.user} may not insert", "let the owner of the tables be the user"
        )
    elif found.reads is not True and found.inserts is not None:
        told = "queries run as the owner, for there is no role pixsim_reader to become"
        yield _warning("rights", told, "see docs/sql.md")
    else:
        yield _ok("rights", f"{found.user} may make tables")


async def _records(pool: database.Pool) -> AsyncIterator[Check]:
    found = await vitals.vitals(pool, dt.datetime.now(dt.UTC))
    ahead = f"{found.days_ahead} days ahead, {found.partitions} in all"
    if found.days_ahead < 1:
        advice = "start the collector, or see `housekeeping_failed` in its log"
        yield _problem("partitions", ahead, advice)
    else:
        yield _ok("partitions", ahead)
    if found.stray:
        told = f"{found.stray:,} records of the last week lie in no day's partition"
        yield _warning(
            "stray records", told, "they are moved within ten minutes; if not, see above"
        )
    else:
        yield _ok("stray records", "none")


async def _retention(pool: database.Pool) -> AsyncIterator[Check]:
    clock = await retention_clock.last(pool)
    if clock.until is None:
        yield _ok("retention", f"counts from {clock.counted:%Y-%m-%d}")
        return
    told = f"the clock has jumped ahead to {clock.seen:%Y-%m-%d %H:%M} UTC"
    told += f"; days count from {clock.counted:%Y-%m-%d} until {clock.until:%Y-%m-%d %H:%M}"
    advice = "mend the clock, or if it is right: pixsim-collector retention --trust-clock"
    yield _problem("retention", told, advice)


async def _forwarders(pool: database.Pool) -> AsyncIterator[Check]:
    for each in await destinations.status(pool):
        name = f"forwarder {each.name}"
        failed = each.last_error_at and (each.last_sent_at or each.created_at) < each.last_error_at
        if each.state == "stopped":
            told, advice = f"stopped: {each.reason}", f"mend it; forward resume {each.name}"
            yield _problem(name, told, f"{advice} tries at once")
        elif failed:
            yield _problem(name, f"fails: {each.last_error}", "it is tried again by itself")
        elif each.state == "paused":
            told = f"paused{f': {each.reason}' if each.reason else ''}"
            yield _warning(name, told, f"pixsim-collector forward resume {each.name}")
        elif each.letters:
            told = f"{each.letters:,} dead letters"
            yield _warning(name, told, f"pixsim-collector forward dead-letters {each.name}")
        else:
            yield _ok(name, f"{each.sent:,} sent")


async def _alerts(pool: database.Pool) -> AsyncIterator[Check]:
    for rule in await alert_history.rules(pool):
        name = f"alert {rule.name}"
        if rule.error:
            yield _problem(
                name, f"not evaluated: {rule.error}", "make its search or window smaller"
            )
        else:
            firing = sum(alert.state == "firing" for alert in rule.alerts)
            yield _ok(name, f"{firing} fire")
    for each in await notifications.waiting(pool):
        if dt.datetime.now(dt.UTC) - each.since > LONG_WAIT:
            told = f"{each.notifications} wait since {each.since:%Y-%m-%d %H:%M}: {each.error}"
            advice = f"mend it; `pixsim-collector alerts test {each.notifier}` tries it"
            yield _problem(f"notifier {each.notifier}", told, advice)


def _port(endpoint: str, tls: ServerTls) -> Check:
    name = f"port {endpoint}"
    try:
        for one in sockets.bound(endpoint):
            one.close()
    except OSError as exc:
        if _ours(endpoint, tls):
            return _ok(name, "a collector listens")
        told = f"cannot be had: {exc.strerror or exc}"
        return _problem(name, told, "end the program that has it, or choose another endpoint")
    return _ok(name, "free: no collector runs")


def _ours(endpoint: str, tls: ServerTls) -> bool:
    """Tell whether what listens at *endpoint* answers as a collector does."""
    host, _, port = endpoint.rpartition(":")
    host = host.strip("[]")
    local = "127.0.0.1" if host in {"", "0.0.0.0"} else "::1" if host == "::" else host  # noqa: S104
    connection = http.client.HTTPConnection(local, int(port), timeout=ASK_TIMEOUT)
    if tls.cert_file:  # who it is, and not whether to trust it
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(
            local, int(port), timeout=ASK_TIMEOUT, context=context
        )
    try:
        connection.request("GET", "/health")
        return connection.getresponse().getheader("X-Request-ID") is not None
    except (ssl.SSLError, ConnectionError):  # as who wants a client's certificate does
        return bool(tls.client_ca_file)
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _folders(config: Config) -> list[Path]:
    forwarders = [Path(f.folder) for f in config.forwarders.values() if isinstance(f, File)]
    return list(dict.fromkeys([*service.folders(config.store), *forwarders]))


def _folder(folder: Path) -> Check:
    name = f"folder {folder}"
    existing = folder.absolute()
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not os.access(existing, os.W_OK | os.X_OK):
        return _problem(name, f"{existing} is not writable", "let the collector's user own it")
    free = shutil.disk_usage(existing).free
    told = f"{free / GIB:,.1f} GiB free"
    if free < LEAST_FREE:
        return _problem(name, told, "make room, or set exporters.postgres.retention")
    return _ok(name, told)
