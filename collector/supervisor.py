"""
The whole program: the database and the sockets, and the processes that work with them.

One worker is this process itself. Several are processes of their own (`collector.crew`), and
this one only starts, watches and replaces them. Either way a new configuration starts new
workers, and the old ones leave when those are ready.
"""

from __future__ import annotations

import asyncio
import enum
import os
import sys
import tempfile
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from collector import engine, outage, own_log, service, sockets
from collector.configfile import Invalid
from collector.control import Control
from collector.crew import GRACE, Crew, Places, longest_stop
from storage import database, embedded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from collector.config import Config
    from collector.exporters.postgres import Postgres
    from collector.sockets import Sockets

    Run = Callable[[Config, Sockets, Control], Coroutine[None, None, None]]

T = TypeVar("T")

log = structlog.get_logger()

WELCOME = """
Send a line, and read it back:

  curl -s {0}/api/v1/logs/ingest -H 'Content-Type: application/json' \\
    -d '{{"level": "INFO", "service": "api", "msg": "hello", "job_id": 123}}'
  curl -s {0}/api/v1/logs/trace/job/123

`make demo` sends many. Look at them in a browser at {0}; the API is described at {0}/docs.
Ctrl-C stops the collector.

"""


class Order(enum.Enum):
    """What a signal asks for."""

    STOP = enum.auto()
    RELOAD = enum.auto()


async def serve(config: Config, reload: Callable[[], Config], orders: asyncio.Queue[Order]) -> None:
    """
    Run until an order to stop: then refuse new requests, answer those under way, write what waits.

    *reload* gives the configuration as it is now, or raises `Invalid`.

    Raises:
        Unavailable: the database cannot be reached at the start, and there is no spool.
        OSError: an endpoint is taken.
        Failed: the workers do not start, or die again and again.
    """
    async with _database(config) as dsn:
        with ExitStack() as stack:
            run = _alone(dsn) if config.workers == 1 else _crew(stack, dsn)
            held = sockets.Held()
            stack.callback(held.keep, ())
            leaving: set[Generation] = set()
            generation = Generation(config, run, held.at(config.endpoints))
            try:
                await generation.ready()
                urls = [
                    sockets.url(there, secure=endpoint in config.secure)
                    for endpoint, there in held.at(config.endpoints).items()
                ]
                log.info("listening", urls=urls, workers=config.workers)
                sys.stdout.write(WELCOME.format(urls[0]))
                sys.stdout.flush()
                while await generation.ordered(orders) is Order.RELOAD:
                    if new := await _replacement(generation.config, reload, run, held):
                        generation.leave(leaving)
                        generation = new
                log.info("stopping")
            finally:
                await _ended(generation, leaving)
    log.info("stopped")


@asynccontextmanager
async def _database(config: Config) -> AsyncIterator[str]:
    """Give the DSN of the database, brought to this version's schema."""
    postgres = config.store
    with ExitStack() as stack:
        dsn, spools = postgres.server, False
        if postgres.embedded:
            dsn = stack.enter_context(embedded.kept(Path(postgres.data_folder)))
            log.info("embedded_postgres_started", dsn=dsn)
        elif postgres.spool.enabled:
            spools = not await database.answers(dsn)
        async with outage.when_there(lambda: _brought_up(postgres, dsn), spools=spools):
            yield dsn


@asynccontextmanager
async def _brought_up(postgres: Postgres, dsn: str) -> AsyncIterator[None]:
    """Bring the database to this version's schema before the block."""
    if postgres.migrate_at_start:
        await engine.upgrade(postgres, dsn, lambda did: log.info("engine", did=did))
    await engine.check(postgres, dsn)
    yield


def _alone(dsn: str) -> Run:
    async def run(config: Config, held: Sockets, control: Control) -> None:
        place = service.Place(dsn=dsn, sockets=held)
        await service.work(config, place, control, collects=True, keeps=True)

    return run


def _crew(stack: ExitStack, dsn: str) -> Run:
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="pixsim-collector-"))
    places = Places(Path(folder))

    async def run(config: Config, held: Sockets, control: Control) -> None:
        await Crew(config, dsn, held, places, control).run()

    return run


class Generation:
    """The workers of one configuration."""

    def __init__(self, config: Config, run: Run, held: Sockets) -> None:
        self.config = config
        self.control = Control()
        self.task = asyncio.create_task(run(config, held, self.control), name="workers")

    async def ready(self) -> None:
        """Return when they work; raise what ended them before."""
        await self._first(self.control.ready.wait())

    async def ordered(self, orders: asyncio.Queue[Order]) -> Order:
        """Give the next order; raise what ended the workers before."""
        return await self._first(orders.get())

    async def _first(self, other: Coroutine[Any, Any, T]) -> T:
        waiting = asyncio.ensure_future(other)
        try:
            await asyncio.wait({waiting, self.task}, return_when=asyncio.FIRST_COMPLETED)
            if self.task.done():
                self.task.result()
            return await waiting
        finally:
            waiting.cancel()

    def leave(self, leaving: set[Generation]) -> None:
        """Let them leave, beside those in their place; they are *leaving* until they have."""

        def left(task: asyncio.Task[None]) -> None:
            leaving.discard(self)
            if not task.cancelled() and (exc := task.exception()):
                log.error("leaving_failed", error=str(exc), exc_info=exc)

        self.control.leave()
        leaving.add(self)
        self.task.add_done_callback(left)


async def _ended(generation: Generation, leaving: set[Generation]) -> None:
    """
    Stop all of them, and wait until they have; raise what ended *generation*.

    A query that a hung server has is not to be had back, so this ends all the same after a time.
    What was acknowledged is on disk.
    """
    every = (generation, *leaving)
    for each in every:
        each.control.stop()
    patience = max(longest_stop(each.config) for each in every) + GRACE
    _, hanging = await asyncio.wait([each.task for each in every], timeout=patience)
    if hanging:
        log.error("stopped_hard", reason=f"not all has ended within {patience:g} s")
        sys.stdout.flush()
        os._exit(1)
    generation.task.result()


async def _replacement(
    old: Config, reload: Callable[[], Config], run: Run, held: sockets.Held
) -> Generation | None:
    """Give workers, ready, of the configuration as it is now; None where that does not work."""
    try:
        config = reload()
        if problems := _fixed(old, config):
            raise Invalid(problems)
        new = Generation(config, run, held.at(config.endpoints))
        await new.ready()
    except Invalid as exc:
        problems = exc.lines
    except Exception as exc:  # noqa: BLE001  whatever is wrong with the new ones, the old ones go on
        problems = [f"{type(exc).__name__}: {exc}"]
    else:
        held.keep(config.endpoints)
        own_log.to_stderr(config.service.telemetry.logs.level)
        log.info("reloaded")
        return new
    held.keep(old.endpoints)
    log.error("reload_failed", problems=problems)
    return None


def _fixed(old: Config, new: Config) -> list[str]:
    """Give the settings that differ and need a new start of the program."""
    pairs = [("service.workers", old.workers, new.workers)]
    pairs += [
        (f"exporters.postgres.{name}", getattr(old.store, name), getattr(new.store, name))
        for name in (
            "dsn",
            "direct_dsn",
            "data_folder",
            "engine",
            "compress_after",
            "shards",
            "spool",
        )
    ]
    return [f"{name} has changed: that needs a restart" for name, was, now in pairs if was != now]
