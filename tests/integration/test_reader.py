"""What a reader finds, in a real Postgres."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import re

import msgspec
import pytest

from collector.search import parse
from storage import fields, pages
from storage.entries import Entry
from storage.errors import Unavailable
from storage.reader import Reader
from storage.records import Resource, Scope
from storage.search import (
    EVERYTHING,
    Compare,
    Equals,
    Prefix,
    Severity,
    Text,
    both,
)
from tests.builders import NOON, record
from tests.stored import filled, store

SECOND = dt.timedelta(seconds=1)


@pytest.fixture(name="reader")
def _reader(pool):
    return Reader(pool)


async def found(reader, search):
    """Give the messages that a search finds, in order of storing."""
    page = await pages.first(reader, search, now=NOON, limit=1000)
    return [entry.msg for entry in reversed(page.entries)]


async def test_order_and_pages(pool, reader):
    """
    Pages are newest first, of equal times the later stored first, and never overlap.
    """
    await store(pool, *(record(msg=str(n)) for n in range(5)))
    await store(pool, record(msg="older", timestamp=NOON - SECOND))
    walk = [
        await pages.first(reader, EVERYTHING, now=NOON, limit=4, offset=offset)
        for offset in (0, 4, 8)
    ]

    assert ["4", "3", "2", "1"] == [entry.msg for entry in walk[0].entries]
    assert ["0", "older"] == [entry.msg for entry in walk[1].entries]
    assert [(6, True), (6, False), (6, False)] == [
        (page.total, page.older is not None) for page in walk
    ]


@pytest.mark.parametrize(
    ("total", "check"),
    [
        pytest.param("exact", lambda number: number == 9, id="exact"),
        pytest.param("estimate", lambda number: number >= 3, id="estimate"),
        pytest.param("none", lambda number: number is None, id="none"),
    ],
)
async def test_total(pool, reader, total, check):
    """
    The total is counted, estimated, or left out, as asked; what was seen is never less.
    """
    await store(pool, *(record() for _ in range(9)))
    page = await pages.first(reader, Equals("service", ("api",)), now=NOON, limit=2, total=total)

    assert check(page.total)
    assert page.older is not None


async def test_exact_columns(pool, reader):
    """
    Every column is an exact filter, by its own type.
    """
    values = dict.fromkeys(fields.TEXTS, "x") | dict.fromkeys(fields.IDS, 7)
    values |= {"severity_number": 7, "flags": 7, "duration_ms": 7.5}
    await store(pool, record(msg="other"), record(**values))
    totals = {
        name: (await pages.first(reader, Equals(name, (value,)), now=NOON, limit=9)).total
        for name, value in values.items()
    }

    assert dict.fromkeys(values, 1) == totals


async def test_unknown_column(pool, reader):
    """
    A name that isn't a column's is a key of extra, and never part of a statement.
    """
    await store(pool, record(msg="a", extra={"n'; DROP": 1}), record(msg="b"))

    assert ["a"] == await found(reader, Equals("n'; DROP", (1,)))


async def test_id_kept_in_extra(pool, reader):
    """
    An id that isn't a whole number is found by the text that extra keeps.
    """
    await store(
        pool,
        record(msg="text", extra={"job_id": "ingestion-55", "user_id": "u-1"}),
        record(msg="number", extra={"job_id": 55}),
        record(msg="column", job_id=55, extra={"job_id": "ingestion-55"}),
        record(msg="asset", extra={"generation_id": "a-1"}),
    )

    assert ["text"] == await found(reader, Equals("job_id", ("ingestion-55",)))
    assert ["number", "column"] == await found(reader, Equals("job_id", (55,)))
    assert ["text"] == await found(reader, Equals("user_id", ("u-1",)))
    assert ["asset"] == await found(reader, Equals("artifact_id", ("a-1",)))
    assert ["text"] == [entry.msg for entry in (await reader.job("ingestion-55")).entries]


@pytest.mark.parametrize("name", ["artifact_id", "generation_id"])
async def test_artifact_and_generation(pool, reader, name):
    """
    A value sent as artifact_id or as generation_id is found, and shown, under both names.
    """
    await store(pool, record(artifact_id=5), record(generation_id=5), record(artifact_id=6))
    page = await pages.first(reader, Equals(name, (5,)), now=NOON, limit=9)

    assert [(5, 5), (5, 5)] == [(e.artifact_id, e.generation_id) for e in page.entries]
    assert [5, 6] == await reader.distinct(name, EVERYTHING, now=NOON, limit=9)


async def test_levels(pool, reader):
    """
    A severity range counts by number; a level that has none is matched in any case.
    """
    await store(
        pool,
        record(msg="a", level="warn", severity_number=13),
        record(msg="b", level="ERROR", severity_number=17),
        record(msg="c", level="Loud"),
    )

    assert ["a", "b"] == await found(reader, Severity(13, 24))
    assert ["c"] == await found(reader, Equals("level", ("lOUD",)))


async def test_prefix(pool, reader):
    """
    A prefix finds what begins with it, character by character, of an id as of a text.
    """
    stages = ["provider", "provider:submit", "Provider:submit", "provider_x", None]
    await store(pool, *(record(msg=str(stage), stage=stage) for stage in stages))
    await store(pool, record(msg="id", job_id=123), record(msg="kept", extra={"job_id": "12-a"}))

    assert ["provider:submit"] == await found(reader, Prefix("stage", "provider:"))
    assert [] == await found(reader, Prefix("stage", "provider%"))
    assert ["id", "kept"] == await found(reader, Prefix("job_id", "12"))


async def test_times_are_inclusive(pool, reader):
    """
    Both ends of a time range belong to it.
    """
    await store(pool, *(record(msg=str(n), timestamp=NOON + n * SECOND) for n in range(4)))

    since = Compare("timestamp", ">=", NOON + SECOND)
    until = Compare("timestamp", "<=", NOON + 2 * SECOND)

    assert ["1", "2"] == await found(reader, both(since, until))


SEARCHES = [
    pytest.param("TIMEOUT", ["msg", "error", "extra", "deep", "list"], id="any case"),
    pytest.param("100%", ["percent"], id="percent is literal"),
    pytest.param("a_b", ["underscore"], id="underscore is literal"),
    pytest.param("c:\\temp", ["path"], id="backslash is literal"),
    pytest.param("backslash", [], id="a key is no value"),
    pytest.param('say "hi"', ["quote"], id="quotes as extra writes them"),
    pytest.param("two\nlines", ["newline"], id="control characters as extra writes them"),
    pytest.param("ÄRGER", ["umlaut", "stage"], id="case beyond ASCII"),
    pytest.param("42", ["number"], id="a number's digits"),
    pytest.param('", "', [], id="nothing between the values"),
    pytest.param("x\x1fy", [], id="nothing between the columns"),
    pytest.param("\x01", [], id="nor by another separator"),
]


@pytest.mark.parametrize(("text", "expected"), SEARCHES)
async def test_search(pool, reader, text, expected):
    """
    A search finds part of a text in any case, in columns and in the values of extra.
    """
    await store(
        pool,
        record(msg="msg", error_type="a timeout"),
        record(msg="error", error="Timeout!"),
        record(msg="extra", extra={"why": "timeout"}),
        record(msg="deep", extra={"timing": {"why": "the timeout"}}),
        record(msg="list", extra={"all": ["no", ["timeout"]]}),
        record(msg="key", extra={"timeout": "no", "deep": {"timeout": 1}}),
        record(msg="percent", domain="100% sure"),
        record(msg="no percent", domain="1000 sure"),
        record(msg="underscore", channel="a_b"),
        record(msg="no underscore", channel="axb"),
        record(msg="path", extra={"where": "C:\\Temp\\x", "backslash": 1}),
        record(msg="quote", extra={"text": 'to say "hi" once'}),
        record(msg="newline", extra={"text": "two\nlines"}),
        record(msg="umlaut", extra={"text": "ärger"}),
        record(msg="stage", stage="der ärger"),
        record(msg="number", extra={"answer": 142}),
        record(msg="strings x", error="y", extra={"a": ["x", "y"], "b": None}),
    )

    assert expected == await found(reader, Text(text))


async def test_extra_filter(pool, reader):
    """
    A key of extra is an exact filter on its value as text, whatever its type.
    """
    await store(
        pool,
        record(msg="text", extra={"queue": "7"}),
        record(msg="number", extra={"queue": 7}),
        record(msg="true", extra={"queue": True}),
        record(msg="nested", extra={"x": {"queue": 7}}),
    )

    assert ["text", "number"] == await found(reader, Equals("queue", ("7",)))
    assert ["true"] == await found(reader, Equals("queue", ("true",)))
    assert [] == await found(reader, Equals("queue' OR true --", ("7",)))


async def test_resource_filter(pool, reader):
    """
    A name with a dot is a resource's attribute too.
    """
    resource = Resource(id=-3, attributes='{"host.name": "atlas"}')
    own = record(msg="own", extra={"host.name": "atlas"})
    await store(
        pool,
        own,
        record(msg="resource", resource_id=-3),
        record(msg="neither"),
        resources={-3: resource},
    )

    assert ["own", "resource"] == await found(reader, Equals("host.name", ("atlas",)))


async def test_entry(pool, reader):
    """
    An entry has every key, times to the microsecond in UTC, and nanoseconds as text.
    """
    resource = Resource(id=1, attributes='{"host.name": "atlas"}')
    scope = Scope(id=2, name="lib", version="1.0", attributes='{"a": 1}')
    (number,) = await store(
        pool,
        record(
            timestamp=NOON + dt.timedelta(microseconds=5),
            timestamp_ns=7,
            observed_timestamp=NOON,
            flags=0x301,
            msg="hello",
            extra={"big": 2**70, "text": "ä"},
            resource_id=1,
            scope_id=2,
        ),
        resources={1: resource},
        scopes={2: scope},
    )
    page = await pages.first(reader, EVERYTHING, now=NOON, limit=1)
    entry = msgspec.json.decode(msgspec.json.encode(page.entries[0]))
    given = {name: value for name, value in entry.items() if value is not None}

    assert Entry.__struct_fields__ == tuple(entry)
    assert given == {
        "id": number,
        "timestamp": "2025-11-13T12:00:00.000005Z",
        "level": "INFO",
        "service": "api",
        "env": "dev",
        "msg": "hello",
        "severity_number": 0,
        "trace_flags": "01",
        "observed_timestamp": "2025-11-13T12:00:00.000000Z",
        "timestamp_unix_nano": "1763035200000005007",
        "extra": {"big": 2**70, "text": "ä"},
        "resource": {"host.name": "atlas"},
        "scope": {"name": "lib", "version": "1.0", "attributes": {"a": 1}},
    }


async def test_absurd_rows(pool, reader):
    """
    What a direct writer put there is shown, however odd: far times, no object in extra.
    """
    await pool.execute("""
        INSERT INTO log_entries (timestamp, level, service, msg, extra, duration_ms) VALUES
            ('infinity', 'info', 'x', 'last', '[1]', 'NaN'),
            ('200000-01-01Z', 'info', 'x', 'far', 'null', 'Infinity'),
            ('0044-03-15 12:00Z BC', 'info', 'x', 'ides', '"text"', 1),
            ('-infinity', 'info', 'x', 'first', NULL, NULL)""")
    page = await pages.first(reader, EVERYTHING, now=NOON, limit=9)
    encoded = msgspec.json.decode(msgspec.json.encode(page.entries))
    shown = [
        ("last", "infinity", [1]),
        ("far", "200000-01-01T00:00:00.000000Z", None),
        ("ides", "0044-03-15 12:00:00+00 BC", "text"),
        ("first", "-infinity", None),
    ]

    assert shown == [(e["msg"], e["timestamp"], e["extra"]) for e in encoded]
    assert (4, []) == await reader.keys(EVERYTHING, now=NOON, sample=9)
    assert [] == await reader.distinct("some_key", EVERYTHING, now=NOON, limit=9)
    assert [] == await found(reader, Text("nothing"))


async def test_traces(pool, reader):
    """
    A trace has all its records, oldest first, equal times in the order of storing.
    """
    await store(
        pool,
        record(msg="b", job_id=1, request_id="r", trace_id="ab" * 16),
        record(msg="c", job_id=1, request_id="r", trace_id="ab" * 16),
        record(msg="other", job_id=2, request_id="q", trace_id="cd" * 16),
        record(msg="a", timestamp=NOON - SECOND, job_id=1, request_id="r", trace_id="ab" * 16),
    )
    traces = [await reader.job(1), await reader.request("r"), await reader.trace("AB" * 16)]

    assert [["a", "b", "c"]] * 3 == [[entry.msg for entry in trace.entries] for trace in traces]
    assert [] == (await reader.trace("nothing")).entries


async def test_expanded_trace(pool, reader):
    """
    Expanded, a job's or a request's trace has the records of every trace that touched it.
    """
    await store(
        pool,
        record(msg="request", request_id="r", trace_id="t1"),
        record(msg="job", job_id=1, trace_id="t1"),
        record(msg="job without trace", job_id=1),
        record(msg="job elsewhere", job_id=1, trace_id="t2"),
        record(msg="provider", trace_id="t2"),
        record(msg="other", job_id=2, trace_id="t3"),
        record(msg="nothing"),
    )
    job = [entry.msg for entry in (await reader.job(1, expand=True)).entries]
    request = [entry.msg for entry in (await reader.request("r", expand=True)).entries]

    assert ["request", "job", "job without trace", "job elsewhere", "provider"] == job
    assert ["request", "job"] == request
    assert [] == (await reader.job(99, expand=True)).entries


async def test_keys(pool, reader):
    """
    Known keys are those of the newest records, of one service or of all.
    """
    await store(
        pool,
        record(timestamp=NOON - SECOND, extra={"old": 1}),
        record(extra={"b": 1, "a": {"inner": 2}}),
        record(service="worker", extra={"w": 1}),
        record(),
    )

    assert (3, ["a", "b", "w"]) == await reader.keys(EVERYTHING, now=NOON, sample=3)
    assert (3, ["a", "b", "old"]) == await reader.keys(
        Equals("service", ("api",)), now=NOON, sample=300
    )
    assert (0, []) == await reader.keys(Equals("service", ("nobody",)), now=NOON, sample=300)


async def test_distinct(pool, reader):
    """
    Values of a column keep their type, those of extra are text; sorted, and without null.
    """
    await store(
        pool,
        record(level="b", job_id=10, duration_ms=1.5, extra={"queue": 10, "x": None}),
        record(level="B", job_id=9, extra={"queue": "9"}),
        record(level="b", service="worker", error="boom"),
    )
    fields = ("level", "job_id", "duration_ms", "queue", "x", "timestamp", "error", "service")
    values = {
        field: await reader.distinct(field, EVERYTHING, now=NOON, limit=9) for field in fields
    }

    assert values == {
        "level": ["B", "b"],
        "job_id": [9, 10],
        "duration_ms": [1.5],
        "queue": ["10", "9"],
        "x": [],
        "timestamp": [],
        "error": [],
        "service": ["api", "worker"],
    }
    worker = Equals("service", ("worker",))
    assert ["b"] == await reader.distinct("level", worker, now=NOON, limit=9)
    assert ["B"] == await reader.distinct("level", EVERYTHING, now=NOON, limit=1)


# Rows enough that reading them all would cost more than an index.
MANY = """
    INSERT INTO {} (id, timestamp, level, service, severity_number, job_id,
        request_id, trace_id, extra)
    SELECT n, '2025-11-13Z'::timestamptz + n * interval '3 s', 'info', 'api',
        CASE WHEN n % 50 = 0 THEN 17 ELSE 9 END,
        CASE WHEN n % 3 > 0 THEN n / 10 END, md5((n / 5)::text), md5((n / 7)::text),
        CASE WHEN n % 9 = 0 THEN jsonb_build_object('job_id', 'ingestion-' || n) END
    FROM generate_series(1, 30000) n"""
# What asks for an id, or for what is newest.
LOOKUPS = {
    "job": lambda r: r.job(77),
    "job of text": lambda r: r.job("ingestion-99"),
    "job with traces": lambda r: r.job(77, expand=True),
    "request": lambda r: r.request("8f14e45fceea167a5a36dedd4bea2543"),
    "trace": lambda r: r.trace("8F14E45FCEEA167A5A36DEDD4BEA2543"),
    "page of job": lambda r: pages.first(r, Equals("job_id", (77,)), now=NOON, limit=100),
    "page of errors": lambda r: pages.first(r, Severity(17, 20), now=NOON, limit=9),
    "newest page": lambda r: pages.first(r, EVERYTHING, now=NOON, limit=100, total="none"),
    **{
        f"page of {text}": lambda r, t=text: pages.first(r, parse(t), now=NOON, limit=9)
        for text in (
            "job_id:(77 OR ingestion-99 OR 78)",
            "request_id:(8f14e45fceea167a5a36dedd4bea2543 OR x)",
            "trace_id:8F14E45FCEEA167A5A36DEDD4BEA2543",
            "trace_id:8f14e45fce*",
            "level>=error",
            "level:error service:api",
            "severity_number>=17",
            "user_id:5 OR artifact_id:5",
            "job_id:77 -level:error last:1h",
        )
    },
}


class Explained:
    """A connection that keeps the plan of all that is fetched through it."""

    def __init__(self, connection):
        self._connection = connection
        self.fetchval, self.execute = connection.fetchval, connection.execute
        self.plans = []

    async def fetch(self, statement, *arguments):
        plan = await self._connection.fetch(f"EXPLAIN {statement}", *arguments)
        self.plans.append("\n".join(row[0] for row in plan))
        return await self._connection.fetch(statement, *arguments)


async def test_lookups_use_indexes(pool, reader, monkeypatch, hypertable, distributed):
    """
    No lookup by an id, nor of what is newest, reads a whole partition.
    """
    await pool.execute(MANY.format(await filled(pool)))
    await pool.execute(f"ANALYZE {'log_entries_days' if distributed else 'log_entries'}")
    explained = []
    reading = reader.reading

    def explaining(*plan):
        context = reading(*plan)
        enter = context.__aenter__

        class Context:
            async def __aenter__(self):
                explained.append(Explained(await enter()))
                return explained[-1]

            async def __aexit__(self, *error):
                return await context.__aexit__(*error)

        return Context()

    monkeypatch.setattr(reader, "reading", explaining)
    plans = {}
    for name, ask in LOOKUPS.items():
        explained.clear()
        await ask(reader)
        plans[name] = explained[0].plans
    # Of a hypertable, and among servers, those of all other times are empty.
    whole = (
        r"Seq Scan on log_entries_\d" if hypertable or distributed else "Seq Scan on log_entries"
    )

    assert all(plans.values())
    assert {} == {
        name: plan for name, found in plans.items() for plan in found if re.search(whole, plan)
    }


async def test_slow_query(pool):
    """
    A statement that takes longer than the limit ends, and may be tried again.
    """
    await store(pool, *(record(extra={"text": "x" * 1_000}) for _ in range(2_000)))

    with pytest.raises(Unavailable, match=r"took longer than 0\.001 s"):
        await pages.first(Reader(pool).within(0.001), Text("y"), now=NOON, limit=1)


async def test_all_connections_out(pool):
    """
    A question waits for a connection no longer than the limit.
    """
    async with asyncio.timeout(5), contextlib.AsyncExitStack() as stack:
        for _ in range(pool.get_max_size()):
            await stack.enter_async_context(pool.acquire())
        with pytest.raises(Unavailable):
            await pages.first(Reader(pool, timeout=0.05), EVERYTHING, now=NOON, limit=1)
        with pytest.raises(Unavailable):
            await Reader(pool).ping(timeout=0.05)


async def test_reading_cannot_write(reader):
    """
    Whatever is asked, a reader's transaction can change nothing.
    """
    async with reader.reading() as connection:
        assert "on" == await connection.fetchval("SHOW transaction_read_only")
