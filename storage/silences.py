"""Silences: which alerts nobody is told of for a while, by their labels."""

from __future__ import annotations

import datetime as dt  # noqa: TC003  msgspec reads the annotations
import fnmatch
import re
from typing import TYPE_CHECKING, Any

import msgspec

from storage.errors import Rejected, translated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import asyncpg

MOST = 1_000  # that hold at a time
SELECT = """
SELECT id, matchers::text, until, comment, author, created_at FROM alert_silences
WHERE until > $1 ORDER BY until, id
"""
# Who silence at the same time may be some over the limit.
ADD = f"""
INSERT INTO alert_silences (matchers, until, comment, author, created_at)
SELECT $1::text::jsonb, $2, $3, $4, $5
WHERE (SELECT count(*) FROM alert_silences WHERE until > $5) < {MOST}
RETURNING id, matchers::text, until, comment, author, created_at
"""
END = """
UPDATE alert_silences SET until = $2 WHERE id = $1 AND until > $2
RETURNING id, matchers::text, until, comment, author, created_at
"""


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """
    Holds until a time, for alerts that have all the labels of *matchers*.

    ``*`` in a matcher's value is any run of characters.
    """

    id: int
    matchers: dict[str, str]
    until: dt.datetime
    comment: str
    author: str
    created_at: dt.datetime


async def active(connection: Any, now: dt.datetime) -> list[Silence]:
    """Give the silences that hold at *now*, the first to end first; of a pool or a connection."""
    with translated():
        return [_silence(row) for row in await connection.fetch(SELECT, now)]


async def add(
    pool: asyncpg.Pool,
    matchers: Mapping[str, str],
    *,
    until: dt.datetime,
    comment: str,
    author: str,
    now: dt.datetime,
) -> Silence:
    """
    Have alerts with the labels *matchers* silenced *until* then.

    Raises:
        Rejected: there are as many as there may be.
    """
    labels = msgspec.json.encode(matchers).decode()
    with translated():
        row = await pool.fetchrow(ADD, labels, until, comment, author, now)
    if row is None:
        raise Rejected(f"{MOST} silences hold, which is the most")
    return _silence(row)


async def end(pool: asyncpg.Pool, number: int, now: dt.datetime) -> Silence | None:
    """End a silence; give what it was, or None where none of that number holds."""
    with translated():
        row = await pool.fetchrow(END, number, now)
    return None if row is None else _silence(row)


def silencing(silences: Iterable[Silence]) -> Callable[[Mapping[str, str]], bool]:
    """Give the function that tells of an alert's labels whether one of *silences* holds."""
    every = [
        {name: _pattern(value) for name, value in silence.matchers.items()} for silence in silences
    ]

    def silenced(labels: Mapping[str, str]) -> bool:
        return any(
            all(pattern.fullmatch(labels.get(name, "")) for name, pattern in patterns.items())
            for patterns in every
        )

    return silenced


def _pattern(value: str) -> re.Pattern[str]:
    # fnmatch makes of many stars what takes no longer than one does.
    return re.compile(fnmatch.translate(value.replace("[", "[[]").replace("?", "[?]")))


def _silence(row: Any) -> Silence:
    return Silence(**{**row, "matchers": msgspec.json.decode(row["matchers"])})
