"""Dead letters, which refer to records and go with them."""

from __future__ import annotations

from storage import dead_letters, deletion, destinations, partitions
from storage.claims import Letter, Progress, claim
from storage.deletion import Actor
from storage.expiry import Expiry
from storage.follower import Follower
from storage.positions import BEGINNING
from storage.records import Resource
from storage.retention import Policy
from storage.search import Equals
from storage.stored import Interned
from tests.builders import NOON, record
from tests.stored import filled, store

ACTOR = Actor("me@here", "a test")
RESOURCE = Resource(id=7, attributes='{"host.name": "web-1"}')


async def bury(pool, *msgs):
    """Make dead letters of those records whose messages are *msgs*."""
    await destinations.register(pool, "archive", BEGINNING)
    piece = await Follower(pool).stored(BEGINNING, None, records=100, bytes=10**6, now=NOON)
    letters = [
        Letter(each.position, f"no {each.record.msg}", 400)
        for each in piece.rows
        if each.record.msg in msgs
    ]
    async with claim(pool, "archive", "a:1") as held:
        await held.record(Progress(position=piece.position, letters=letters))


async def left(pool):
    """Give the reasons of the letters that there are, the oldest first."""
    return [each.reason for each in await dead_letters.page(pool, "archive", limit=100)][::-1]


async def audit(pool):
    rows = await pool.fetch("SELECT place, records FROM log_deletions WHERE place = 'dead_letters'")
    return [tuple(row) for row in rows]


async def test_pages(pool):
    """
    Letters are shown with their records, the newest first, page by page.
    """
    await store(pool, *(record(msg=msg, extra={"a": 1}) for msg in "abc"))
    await bury(pool, *"abc")
    newest = await dead_letters.page(pool, "archive", limit=2)
    oldest = await dead_letters.page(pool, "archive", limit=2, before=newest[-1].id)

    assert "cba" == "".join(each.entry.msg for each in newest + oldest)
    assert ("no a", 400, 1, False) == (
        oldest[0].reason,
        oldest[0].status,
        oldest[0].attempts,
        oldest[0].retry,
    )
    assert [] == await dead_letters.page(pool, "other", limit=2)


async def test_retry(pool):
    """
    A letter that is sent again is none any more; one that fails again waits for the next time.
    """
    records = [record(msg=msg, extra={"a": [1]}, resource_id=7) for msg in "abc"]
    await store(pool, *records, resources={7: RESOURCE})
    await bury(pool, *"abc")
    ids = {each.entry.msg: each.id for each in await dead_letters.page(pool, "archive", limit=9)}

    assert 1 == await dead_letters.retry(pool, "archive", [ids["a"]])
    assert 2 == await dead_letters.retry(pool, "archive")
    due = await dead_letters.due(pool, Interned(), "archive", limit=2)
    assert [(ids["a"], "a"), (ids["b"], "b")] == [(each, s.record.msg) for each, s in due]
    assert ({"a": [1]}, RESOURCE) == (due[0][1].record.extra, due[0][1].resource)
    async with claim(pool, "archive", "a:1") as held:
        await held.retried([ids["a"]], [(ids["b"], "still no", None)])
        [there] = await destinations.status(pool)
        assert (1, 2) == (there.sent, there.letters)
        assert ["c"] == [
            s.record.msg for _, s in await dead_letters.due(pool, Interned(), "archive", limit=2)
        ]
    assert ["still no", "no c"] == await left(pool)


async def test_letters_go_with_their_records(pool):
    """
    Deleting a record deletes its letters in the same transaction, and the audit counts them.
    """
    await store(pool, record(msg="a", user_id=12), record(msg="b"))
    await bury(pool, *"ab")
    await deletion.delete(pool, Equals("user_id", (12,)), ACTOR, now=NOON, reason="user 12")

    assert ["no b"] == await left(pool)
    assert [("dead_letters", 1)] == await audit(pool)


async def test_letters_expire_with_their_records(pool):
    """
    A day that retention drops takes its letters along.
    """
    await store(
        pool,
        record(msg="a", timestamp=NOON - 40 * partitions.DAY),
        record(msg="b"),
    )
    await partitions.maintain(pool, NOON.date(), ahead=0)
    await bury(pool, *"ab")
    await Expiry(Policy(rules=(), days=30), ACTOR).apply(pool, NOON, lambda _: None)

    assert ["no b"] == await left(pool)
    assert [("dead_letters", 1)] == await audit(pool)


async def test_by_hand(pool):
    """
    Who deletes letters is in the audit; those of records deleted by SQL show none, and can go.
    """
    await store(pool, *(record(msg=msg) for msg in "abc"))
    await bury(pool, *"abc")
    await pool.execute(f"DELETE FROM {await filled(pool)} WHERE msg = 'b'")
    page = await dead_letters.page(pool, "archive", limit=9)
    orphan = next(each for each in page if each.entry is None)

    assert "no b" == orphan.reason
    assert 1 == await dead_letters.delete(pool, "archive", ACTOR, [orphan.id])
    assert 2 == await dead_letters.delete(pool, "archive", ACTOR)
    assert [] == await left(pool)
    assert [("dead_letters", 1), ("dead_letters", 2)] == await audit(pool)
