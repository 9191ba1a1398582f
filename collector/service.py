"""The whole program: what it is made of, and in which order it starts and, backwards, stops."""

from __future__ import annotations

import datetime as dt
import sys
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from collector import components, deletions, engine, telemetry
from collector.body import InFlight
from collector.correlation import Correlation
from collector.housekeeping import Chore, housekeeping
from collector.pipeline import pipeline
from collector.server import Listener, listening
from storage import database, embedded, encoding, partitions, roll_ups, sealing, writer
from storage.reader import Reader

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

    from collector.config import Config
    from collector.exporters.postgres import Postgres
    from collector.pipeline import Submit

log = structlog.get_logger()

READERS = 8  # connections for queries
KEEPERS = 4  # connections for housekeeping

WELCOME = """
Send a line, and read it back:

  curl -s {0}/api/v1/logs/ingest -H 'Content-Type: application/json' \\
    -d '{{"level": "INFO", "service": "api", "msg": "hello", "job_id": 123}}'
  curl -s {0}/api/v1/logs/trace/job/123

`make demo` sends many. The API is described at {0}/docs. Ctrl-C stops the collector.

"""


async def serve(config: Config, stop: asyncio.Event) -> None:
    """
    Run until *stop* is set: then refuse new requests, answer those under way, write what waits.

    Raises:
        Unavailable: the database cannot be reached at the start.
        OSError: an endpoint is taken.
    """
    postgres = config.store
    async with AsyncExitStack() as stack:
        dsn = stack.enter_context(_database(postgres))
        if postgres.migrate_at_start:
            await engine.upgrade(postgres, dsn, lambda did: log.info("engine", did=did))
        await engine.check(postgres, dsn)
        # A pool for each: however many queries run, commits and probes have their connections,
        pool = await stack.enter_async_context(
            database.connected(dsn, size=postgres.connections, init=encoding.prepare)
        )
        readers = await stack.enter_async_context(database.reading(dsn, size=READERS))
        probing = await stack.enter_async_context(database.connected(dsn, size=1))
        # and whatever housekeeping waits for, queries have theirs.
        keepers = await stack.enter_async_context(database.connected(dsn, size=KEEPERS))
        await stack.enter_async_context(housekeeping(_chores(keepers, postgres)))
        log_writer = await stack.enter_async_context(
            writer.writing(pool, _writer_config(postgres), _committed)
        )
        in_flight = InFlight(postgres.max_in_flight_bytes)
        telemetry.in_flight_bytes.set_function(lambda: in_flight.held)
        urls = await stack.enter_async_context(
            listening(
                _listeners(config, log_writer.submit, Reader(readers, probing=probing)),
                in_flight,
                shutdown_timeout=config.service.shutdown_timeout,
            )
        )
        log.info("listening", urls=urls)
        sys.stdout.write(WELCOME.format(urls[0]))
        await stop.wait()
        log.info("stopping")
    log.info("stopped")


@contextmanager
def _database(postgres: Postgres) -> Iterator[str]:
    if not postgres.embedded:
        yield postgres.dsn
        return
    with embedded.running(Path(postgres.data_folder)) as dsn:
        log.info("embedded_postgres_started", dsn=dsn)
        yield dsn


def _writer_config(postgres: Postgres) -> writer.WriterConfig:
    return writer.WriterConfig(
        connections=postgres.connections,
        commit_records=postgres.commit_records,
        commit_timeout=postgres.commit_timeout,
    )


def _committed(seconds: float, records: int) -> None:
    telemetry.commit_seconds.observe(seconds)
    telemetry.commit_records.observe(records)


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
        catalog.create("receivers", name)(name, config.receivers[name], correlation, submit)
        for name in logs.receivers
    ]
    extensions = [
        catalog.create("extensions", name)(config.extensions[name], reader)
        for name in config.service.extensions
    ]
    return receivers + extensions


def _chores(pool: database.Pool, postgres: Postgres) -> list[Chore]:
    async def maintain() -> list[str]:
        today = dt.datetime.now(dt.UTC).date()
        return await partitions.maintain(pool, today, ahead=postgres.partitions_ahead)

    sealer = sealing.Sealer(pool)

    async def seal() -> list[str]:
        return await sealer.seal(dt.datetime.now(dt.UTC))

    return [
        # Without it rows go to the default partition meanwhile.
        Chore(name="partitions", interval=600, do=maintain, before=True),
        # What isn't counted yet, each question counts for itself.
        Chore(name="roll_ups", interval=3, do=lambda: roll_ups.count(pool)),
        deletions.expiring(pool, postgres.retention.policy),
        *([Chore(name="text_index", interval=600, do=seal)] if postgres.text_index else []),
    ]
