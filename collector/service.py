"""
What a process of the collector does: it takes records in and answers questions, or keeps house.

One process does both, or each does one; `collector.supervisor` decides.
"""

from __future__ import annotations

import datetime as dt
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from collector import components, deletions, gauges, outage, telemetry
from collector.access.guard import Guard
from collector.access.keyfile import KeyFile
from collector.access.known import knowing
from collector.access.needs import SEND
from collector.alerting.watch import CONNECTIONS as ALERTING
from collector.alerting.watch import alerting, tidying
from collector.api import Api, alerts, audit, forwarders, operations, operator
from collector.body import InFlight
from collector.correlation import Correlation
from collector.forwarding.forwarders import MOST_READERS, forwarding
from collector.forwarding.pace import Courtesy
from collector.gauges import gauging
from collector.housekeeping import Chore, housekeeping
from collector.pipeline import pipeline
from collector.pushing import pushing
from collector.server import Listener, listening
from collector.tail import handlers as tail
from collector.tail.hub import Hub
from collector.tracing import requests, storing, tracing
from storage import (
    database,
    encoding,
    notices,
    partitions,
    roll_ups,
    sealing,
    spool,
    writer,
)
from storage.fallback import Fallback
from storage.follower import Follower
from storage.reader import Reader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from collector.config import Config
    from collector.control import Control
    from collector.exporters.postgres import Postgres
    from collector.pipeline import Submit
    from collector.sockets import Balance, Sockets

READERS = 8  # connections for queries
PROBES = 1  # a connection for probes, and for the little that readers keep
OPERATORS = 2  # connections for notices, and for what operators say
FOLLOWERS = 3  # connections for who follows live: one reading for all, two for who is behind
KEEPERS = 5  # connections for housekeeping
DRAINERS = 2  # connections for what comes out of the spool


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a process works: the database, the open sockets, and how many do the same."""

    dsn: str
    sockets: Sockets
    workers: int = 1
    balance: Balance | None = None  # with the other processes


async def work(
    config: Config, place: Place, control: Control, *, collects: bool, keeps: bool
) -> None:
    """
    Do one or both until *control* says to leave or to stop.

    Raises:
        Unavailable: the database cannot be reached at the start, and there is no spool.
    """
    courtesy = Courtesy()
    # The house is in order before the first request, and left to others before the last.
    async with AsyncExitStack() as requests, AsyncExitStack() as house:
        if keeps:
            waiting = await house.enter_async_context(
                outage.draining(config.store, place.dsn, courtesy)
            )
            await house.enter_async_context(
                outage.when_there(
                    lambda: keeping(config, place.dsn, courtesy, waiting),
                    spools=config.store.spool.enabled,
                )
            )
        if collects:
            await requests.enter_async_context(collecting(config, place, control, courtesy))
        control.ready.set()
        await control.told.wait()


@asynccontextmanager
async def collecting(
    config: Config, place: Place, control: Control, courtesy: Courtesy
) -> AsyncIterator[None]:
    """
    Take records in and answer questions inside the block.

    At its end new requests are refused, those under way answered, and what waits is written.
    """
    postgres = config.store
    at_once = not postgres.spool.enabled  # with it the database may be away
    # Through the pooler goes what is many connections; the rest needs a session.
    dsn, pooled = postgres.pooler or place.dsn, postgres.pooler is not None
    connected = partial(database.connected, dsn, at_once=at_once, pooled=pooled)
    reading = partial(database.reading, dsn, at_once=at_once, pooled=pooled)
    async with AsyncExitStack() as stack:
        # A pool for each: however many queries run, commits and probes have their connections.
        pool = await stack.enter_async_context(
            connected(
                size=postgres.connections, settings=database.WRITING_SETTINGS, init=encoding.prepare
            )
        )
        readers = await stack.enter_async_context(reading(size=READERS))
        probing = await stack.enter_async_context(connected(size=PROBES))
        # Notices keep one of these; the other says to destinations what an operator wants.
        telling = await stack.enter_async_context(
            database.connected(place.dsn, size=OPERATORS, at_once=at_once)
        )
        board = await stack.enter_async_context(notices.running(telling))

        spans = await stack.enter_async_context(tracing(config.service.telemetry.traces))

        def committed(seconds: float, records: int) -> None:
            if spans is not None:
                spans.committed(seconds, records)
            telemetry.commit_seconds.observe(seconds)
            telemetry.commit_records.observe(records)
            board.committed()
            courtesy.took(records)

        spooled = None
        if postgres.spool.enabled:
            spooled = await stack.enter_async_context(spool.spooling(outage.spool_config(postgres)))
        log_writer = await stack.enter_async_context(
            writer.writing(pool, _writer_config(postgres), committed)
        )
        fallback = Fallback(log_writer.submit, spooled) if spooled else None
        in_flight = InFlight(_share(config, place.workers), postgres.max_wait)
        reader = Reader(readers, probing=probing, fallback=fallback)
        submit = (fallback or log_writer).submit
        listeners = _listeners(config, storing(spans, submit) if spans else submit, reader)
        folder = Path(postgres.data_folder) if postgres.embedded else None
        operating = [
            *forwarders.routes(telling, Follower(readers), config.forwarders),
            *audit.routes(telling),
            *alerts.routes(telling, [rule.name for rule in config.alerts.rules], _now),
            *operator.routes(reader, folder, _now),
        ]
        followers = await stack.enter_async_context(reading(size=FOLLOWERS))
        pools = {
            "commits": pool,
            "queries": readers,
            "probes": probing,
            "operating": telling,
            "following": followers,
        }
        await stack.enter_async_context(gauging(pools, in_flight))
        hub = Hub(Follower(followers), board.notices(), _now)
        listeners += [
            Listener(
                extension,
                [*operating, *tail.routes(hub, extension.tails, _now)],
                operations.needs,
            )
            for name in config.service.extensions
            if isinstance(extension := config.extensions[name], Api)
        ]
        known = None
        if config.service.access == "keys":
            kept = KeyFile(postgres.spool_file.with_suffix(".keys")) if spooled else None
            known = await stack.enter_async_context(knowing(telling, kept))
        await stack.enter_async_context(
            listening(
                listeners,
                in_flight,
                shutdown_timeout=config.service.shutdown_timeout,
                held=place.sockets,
                balance=place.balance,
                control=control,
                settings=config.service.connections,
                guard=Guard(known, telling, config.service.rate_limits),
                around=[requests(spans)] if spans else [],
            )
        )
        yield


@asynccontextmanager
async def keeping(
    config: Config, dsn: str, courtesy: Courtesy, waiting: Callable[[], bool]
) -> AsyncIterator[None]:
    """
    Keep house inside the block: do what has to be done again and again, beside requests.

    What is stored is sent on here too, and the rules of alerts are evaluated.
    """
    async with (
        tracing(config.service.telemetry.traces) as spans,
        database.connected(dsn, size=KEEPERS) as pool,
        gauging({"housekeeping": pool}),
        housekeeping(
            [
                *_chores(pool, config.store, waiting),
                gauges.database(pool, folders(config.store)),
                tidying(config.alerts, pool),
                *pushing(config.service.telemetry.metrics),
            ]
        ),
        forwarding(config.forwarders, dsn, courtesy, spans=spans),
        alerting(config.alerts, dsn),
    ):
        yield


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _share(config: Config, workers: int) -> int:
    """Give the bytes that one of *workers* may have in flight: its part, or a body at least."""
    bodies = [server.max_request_body_size for server in config.servers]
    return max(config.store.max_in_flight_bytes // workers, *bodies)


def folders(postgres: Postgres) -> list[Path]:
    """Give the folders whose disks must not be full."""
    data = [Path(postgres.data_folder)] if postgres.embedded else []
    return data + ([Path(postgres.spool.folder)] if postgres.spool.enabled else [])


def connections(config: Config) -> int:
    """Give how many connections all processes together have to the server itself, at most."""
    store, forwarders = config.store, len(config.forwarders)
    workers = OPERATORS * config.workers + (0 if store.pooler else lent(config))
    keeper = KEEPERS + DRAINERS * store.spool.enabled
    keeper += forwarders + 2 + min(MOST_READERS, forwarders + 1) if forwarders else 0
    keeper += ALERTING * bool(config.alerts.rules or config.alerts.notifiers.named)
    return workers + keeper


def lent(config: Config) -> int:
    """Give how many connections all processes together have through the pooler, if there is one."""
    return config.workers * (config.store.connections + READERS + FOLLOWERS + PROBES)


def _writer_config(postgres: Postgres) -> writer.WriterConfig:
    return writer.WriterConfig(
        connections=postgres.connections,
        commit_records=postgres.commit_records,
        commit_timeout=postgres.commit_timeout,
        patience=postgres.spool.after if postgres.spool.enabled else None,
        # Through a pooler nobody knows the server's process, which a drain would have to end.
        straight=postgres.pooler is None,
        deduplicates=postgres.deduplication_window > 0,
    )


def _listeners(config: Config, write: Submit, reader: Reader) -> list[Listener]:
    """Make the components that the service names, each with the routes it serves."""
    catalog = components.Catalog()
    logs = config.service.pipelines.logs
    # Names become columns while a record is decoded, so this one is no stage of its own.
    chosen = (config.processors[name] for name in logs.processors)
    nothing = Correlation(attributes={})
    correlation = next((c for c in chosen if isinstance(c, Correlation)), nothing)
    processes = [
        catalog.create("processors", name)(config.processors[name])
        for name in logs.processors
        if not isinstance(config.processors[name], Correlation)
    ]
    submit = pipeline(processes, write)
    receivers = [
        msgspec.structs.replace(
            catalog.create("receivers", name)(name, config.receivers[name], correlation, submit),
            needs=lambda _method, _path: SEND,
        )
        for name in logs.receivers
    ]
    extensions = [
        catalog.create("extensions", name)(config.extensions[name], reader)
        for name in config.service.extensions
    ]
    return receivers + extensions


def _chores(pool: database.Pool, postgres: Postgres, waiting: Callable[[], bool]) -> list[Chore]:
    async def maintain() -> list[str]:
        today = dt.datetime.now(dt.UTC).date()
        return await partitions.maintain(pool, today, ahead=postgres.partitions_ahead)

    sealer = sealing.Sealer(pool)

    async def seal() -> list[str]:
        return await sealer.seal(dt.datetime.now(dt.UTC))

    forgetting = outage.Forgetting(pool, postgres.deduplication_window, waiting)

    return [
        # Without it rows go to the default partition meanwhile.
        Chore(name="partitions", interval=600, do=maintain, before=True),
        # What isn't counted yet, each question counts for itself.
        Chore(name="roll_ups", interval=3, do=lambda: roll_ups.count(pool)),
        Chore(name="deduplication", interval=60, do=forgetting.forget),
        deletions.expiring(pool, postgres.retention.policy),
        *([Chore(name="text_index", interval=600, do=seal)] if postgres.text_index else []),
    ]
