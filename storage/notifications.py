"""
The outbox of notifications: what is to be told, and what became of it.

Each is written in the transaction that changes what it tells of, and sent until it is taken:
at least once, with an id by which a receiver knows the second one.
"""

from __future__ import annotations

import datetime as dt
import uuid
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from storage.errors import translated

if TYPE_CHECKING:
    from collections.abc import Iterable

    import asyncpg

# Of a rule a notifier gets one after the other: that it is resolved never before that it fires.
CLAIM = """
UPDATE alert_notifications SET attempts = attempts + 1, next_at = $1 + $2, changed_at = $1
WHERE number IN (
    SELECT number FROM alert_notifications n
    WHERE state = 'waiting' AND notifier = ANY ($5) AND (next_at <= $1 OR next_at > $1 + $3)
        AND NOT EXISTS (
            SELECT FROM alert_notifications earlier
            WHERE earlier.notifier = n.notifier AND earlier.rule = n.rule
                AND earlier.state = 'waiting' AND earlier.number < n.number)
    ORDER BY number LIMIT $4 FOR UPDATE SKIP LOCKED)
RETURNING number, id::text, notifier, rule, content::text, attempts, created_at
"""
SETTLE = """
UPDATE alert_notifications SET state = $2, error = $3, next_at = $4, changed_at = $5
WHERE number = $1 AND state = 'waiting'
"""
# Of notifiers that no collector has any more; whoever has one gives up by itself.
ABANDON = """
UPDATE alert_notifications SET state = 'given_up', changed_at = $2,
    error = coalesce(error, 'no collector has a notifier of this name')
WHERE state = 'waiting' AND created_at < $1 RETURNING notifier
"""
WRITE = """
INSERT INTO alert_notifications
    (id, notifier, rule, content, next_at, created_at, changed_at)
VALUES ($1, $2, $3, $4::text::jsonb, $5, $5, $5)
"""
WAITING = """
SELECT notifier, count(*), min(created_at), (array_agg(error ORDER BY number))[1]
FROM alert_notifications WHERE state = 'waiting' GROUP BY notifier ORDER BY notifier
"""
LONGEST_WAIT = dt.timedelta(hours=1)  # until another try; beyond it a clock was wrong


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What is told of one alert."""

    id: str
    state: Literal["firing", "resolved"]
    value: str
    labels: dict[str, str]
    records: int
    before: int | None
    description: str
    started_at: dt.datetime  # when it fired
    ended_at: dt.datetime | None  # when it was resolved


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What a notification says, whoever gets it."""

    rule: str
    annotations: dict[str, str]
    query: str  # the rule's search, in the language of docs/search.md
    by: str | None
    start: dt.datetime  # of the window
    end: dt.datetime
    alerts: list[Told]


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """One that is to be sent now."""

    number: int
    id: str
    notifier: str
    rule: str
    content: Content
    attempts: int  # with this one
    created_at: dt.datetime


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """What waits for one notifier."""

    notifier: str
    notifications: int
    since: dt.datetime
    error: str | None  # of the last try


async def write(
    connection: Any, content: Content, notifiers: Iterable[str], now: dt.datetime
) -> None:
    """Write that *notifiers* are to be told *content*, in the caller's transaction."""
    text = msgspec.json.encode(content).decode()
    for notifier in notifiers:
        await connection.execute(WRITE, uuid.uuid4(), notifier, content.rule, text, now)


async def claim(
    pool: asyncpg.Pool,
    now: dt.datetime,
    *,
    notifiers: Iterable[str],
    lease: dt.timedelta,
    most: int,
) -> list[Notification]:
    """
    Give up to *most* that *notifiers* are to send now.

    Nobody else gets them before *lease* is over.
    """
    with translated():
        rows = await pool.fetch(CLAIM, now, lease, LONGEST_WAIT, most, list(notifiers))
    return [
        Notification(
            number=number,
            id=name,
            notifier=notifier,
            rule=rule,
            content=msgspec.json.decode(content, type=Content),
            attempts=attempts,
            created_at=created_at,
        )
        for number, name, notifier, rule, content, attempts, created_at in rows
    ]


async def sent(pool: asyncpg.Pool, number: int, now: dt.datetime) -> None:
    """Say that it was taken."""
    await _settle(pool, number, "sent", None, now, now)


async def failed(
    pool: asyncpg.Pool, number: int, error: str, again: dt.datetime, now: dt.datetime
) -> None:
    """Say that it was not taken, and is to be sent *again* then."""
    await _settle(pool, number, "waiting", error, again, now)


async def given_up(pool: asyncpg.Pool, number: int, error: str, now: dt.datetime) -> None:
    """Say that it is not sent any more."""
    await _settle(pool, number, "given_up", error, now, now)


async def abandon(pool: asyncpg.Pool, before: dt.datetime, now: dt.datetime) -> list[str]:
    """Give up what was written *before* then and nobody sends; give the notifiers' names."""
    with translated():
        return [row[0] for row in await pool.fetch(ABANDON, before, now)]


async def waiting(pool: asyncpg.Pool) -> list[Backlog]:
    """Give what waits, by notifier."""
    with translated():
        rows = await pool.fetch(WAITING)
    return [
        Backlog(notifier=notifier, notifications=number, since=since, error=error)
        for notifier, number, since, error in rows
    ]


async def _settle(pool: asyncpg.Pool, number: int, *values: Any) -> None:
    with translated():
        await pool.execute(SETTLE, number, *values)
