"""Deleting the records of one user, job or request, against a real Postgres."""

from __future__ import annotations

import pytest

from storage import deletion, pages, partitions, survey
from storage.deletion import Actor, Deleted
from storage.partitions import DAY
from storage.reader import Reader
from storage.records import Resource, Scope
from storage.retention import Policy, Rule
from storage.search import AnyOf, Contains, Equals, Text
from tests.builders import NOON, record
from tests.stored import store

ACTOR = Actor("me@here", "delete --user 12")
USER = AnyOf((Equals("user_id", (12, "12")), Equals("extra.user.id", ("12",))))


async def days(pool):
    await partitions.maintain(pool, NOON.date(), ahead=0)


async def test_all_of_an_id_goes(pool, hypertable):
    """
    Every record of an id goes, of whatever day, whether the id is in its column or beside it,
    and no other does; the audit says how many of which partition.
    """
    await store(
        pool,
        record(msg="a", user_id=12),
        record(msg="b", user_id=12, timestamp=NOON - 3 * partitions.DAY),
        record(msg="c", extra={"user_id": "12"}),
        record(msg="d", user_id=13, extra={"user.id": "12"}),
        record(msg="e", user_id=13),
        record(msg="f", extra={"user_id": "012"}),
        record(msg="g", extra={"text": "12"}),
        record(msg="h", user_id=12, timestamp=NOON + 400 * partitions.DAY),
    )
    await days(pool)
    found = await deletion.find(pool, USER, now=NOON)
    done = await deletion.delete(pool, USER, ACTOR, now=NOON, reason="user 12")
    left = await pool.fetch("SELECT msg FROM log_entries ORDER BY msg")
    audit = await pool.fetch("SELECT place, records, who, command, reason FROM log_deletions")

    far = "log_entries_20261218" if hypertable else "log_entries_default"
    expected = {"log_entries_20251110": 1, "log_entries_20251113": 3, far: 1}
    assert expected == found
    assert expected == {each.place: each.records for each in done}
    assert "efg" == "".join(row[0] for row in left)
    assert sorted(tuple(row) for row in audit) == sorted(
        (place, records, "me@here", "delete --user 12", "user 12")
        for place, records in expected.items()
    )
    assert await deletion.delete(pool, USER, ACTOR, now=NOON, reason="user 12") == []


async def test_letters_of_any_language(pool):
    """
    What is found in any case by who asks is found by who deletes, and by a rule, too.
    """
    await days(pool)
    await store(pool, record(msg="GRÖSSE", extra={"a": "Ёлка"}), record(msg="grösse"), record())
    found = []
    for search in (Contains("msg", "GrÖsse"), Contains("extra.a", "ёл"), Text("größe")):
        policy = Policy(rules=(Rule(name="r", search=search, days=1),), days=9)
        page = await pages.first(Reader(pool), search, now=NOON, limit=9)
        told = await deletion.find(pool, search, now=NOON)
        async with pool.acquire() as connection:
            surveyed = await survey.surveyed(connection, policy, NOON.date(), NOON + 5 * DAY)
        found.append((len(page.entries), sum(told.values()), surveyed.rows.get(0, 0)))
    (gone,) = await deletion.delete(pool, Contains("msg", "ÖS"), ACTOR, now=NOON, reason="r")

    assert [(2, 2, 2), (1, 1, 1), (0, 0, 0)] == found
    assert 2 == gone.records


async def test_a_few_records_go_by_their_index(pool, monkeypatch):
    """
    Who deletes a job's few records doesn't read the whole day.
    """
    await days(pool)
    await store(pool, *(record(job_id=n, level=str(n)) for n in range(5000)))
    await pool.execute("ANALYZE log_entries")
    plan = await pool.fetch(
        "EXPLAIN DELETE FROM log_entries_20251113 WHERE ((job_id = 7::bigint)) RETURNING 0"
    )
    done = await deletion.delete(pool, Equals("job_id", (7,)), ACTOR, now=NOON, reason="job 7")

    assert any("Index Scan" in row[0] for row in plan)
    assert [1] == [each.records for each in done]


@pytest.mark.parametrize("at_once", [1, 5_000])
async def test_many_of_an_id_go(pool, monkeypatch, at_once):
    """
    However many records there are of an id, they go.
    """
    monkeypatch.setattr(deletion, "AT_ONCE", at_once)
    monkeypatch.setattr(deletion, "BLOCKS_AT_ONCE", 1)
    await store(pool, *(record(user_id=12 + n % 2, level=str(n)) for n in range(300)))
    await days(pool)
    done = await deletion.delete(pool, USER, ACTOR, now=NOON, reason="user 12")

    assert [150] == [each.records for each in done]
    assert [150] == [row[0] for row in await pool.fetch("SELECT records FROM log_deletions")]
    assert await pool.fetchval("SELECT count(*) FROM log_entries") == 150


async def test_an_id_is_taken_off_what_is_shared(pool):
    """
    A resource or a scope loses the attributes that hold the id, and keeps all others.
    """
    resources = {
        1: Resource(id=1, attributes='{"host.name": "h", "user.id": 12, "user_id": "13"}'),
        2: Resource(id=2, attributes='{"host.name": "12"}'),
    }
    scopes = {3: Scope(id=3, name="s", version="", attributes='{"enduser.id": "12"}')}
    await store(pool, record(resource_id=1, scope_id=3), resources=resources, scopes=scopes)
    names = ["user_id", "user.id", "enduser.id"]
    found = await deletion.mentions(pool, names, "12")
    done = await deletion.forget(pool, names, "12", ACTOR, reason="user 12")
    kept = await pool.fetch(
        "SELECT id, attributes::text FROM resources"
        " UNION ALL SELECT id, attributes::text FROM scopes ORDER BY id"
    )

    assert found == {"resources": 1, "scopes": 1}
    assert done == [
        Deleted(place="resources", reason="user 12", records=1),
        Deleted(place="scopes", reason="user 12", records=1),
    ]
    assert ['{"user_id": "13", "host.name": "h"}', '{"host.name": "12"}', "{}"] == [
        row[1] for row in kept
    ]
    assert [1, 1] == [row[0] for row in await pool.fetch("SELECT records FROM log_deletions")]
