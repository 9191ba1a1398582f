"""A table of fourteen days of records, filled as the collector fills it, and then kept as it is."""

from __future__ import annotations

import datetime as dt
import random

from storage import database, encoding, partitions, roll_ups, sealing, writer
from storage.moments import moment
from storage.records import Batch, LogRecord
from tests.bench import bodies

DAYS = 14
STEP = 20_000  # records a batch
NEEDLE = "the quick zyzzyva of the fourth day"  # in one record


def records(number, start, seed, step):
    """Make rows of the events, *step* seconds apart."""
    for event in bodies.events(number, seed=seed, start=start, step=step):
        extra = {key: event.pop(key) for key in ("account_id", "queue")}
        when = dt.datetime.fromisoformat(event.pop("timestamp"))
        severity = bodies.SEVERITY[event["level"]]
        event["job_id"] += seed * 10_000
        event["submission_id"] = event["job_id"] * 10
        event["trace_id"] = f"{event['job_id']:032x}"
        yield LogRecord(timestamp=moment(when), severity_number=severity, extra=extra, **event)


async def fill(dsn, rows):
    """Load *rows* up to now, count and index them."""
    step = DAYS * 86_400 / rows
    start = dt.datetime.now(dt.UTC) - dt.timedelta(days=DAYS)
    async with database.connected(dsn, size=4, init=encoding.prepare) as pool:
        await partitions.maintain(pool, start.date(), ahead=DAYS + 1)
        config = writer.WriterConfig(commit_timeout=600)  # the machine may be busy
        async with writer.writing(pool, config, lambda *_: None) as log_writer:
            for done in range(0, rows, STEP):
                begin = start + dt.timedelta(seconds=done * step)
                found = list(records(min(STEP, rows - done), begin, done // STEP, step))
                if done == rows * 4 // DAYS // STEP * STEP:
                    random.Random(rows).choice(found).msg = NEEDLE
                await log_writer.submit(Batch(receiver="bench", records=found))
        # Nobody fills these days any more.
        await pool.execute("UPDATE ledger SET received_at = received_at - interval '1 day'")
        await pool.execute("VACUUM ANALYZE log_entries")
        await roll_ups.count(pool)
        await sealing.Sealer(pool).seal(dt.datetime.now(dt.UTC))
        await pool.execute("CHECKPOINT")


async def found(dsn):
    """Give some records of a filled table, how many it has, and the time of the newest."""
    async with database.connected(dsn, size=1) as pool:
        rows = await pool.fetch(
            "SELECT * FROM log_entries TABLESAMPLE SYSTEM (0.1) ORDER BY random() LIMIT 500"
        )
        count, newest = await pool.fetchrow("SELECT count(*), max(timestamp) FROM log_entries")
        return rows, count, newest
