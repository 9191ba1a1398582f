"""
What is sent again is stored once: requests and records are known by keys, for a while.

A sender that has no answer sends the same request again. Its key, and those of records that
have one of their own (``log.record.uid``), are written in the transaction that stores them. So
what has its key is stored, and what is stored has its key, whoever was killed when.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from storage.errors import translated
from storage.records import Key, Outcome, Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from storage.records import Batch

UID = "log.record.uid"  # OpenTelemetry: records with the same one are the same
DIGEST = 16  # bytes
AT_ONCE = 10_000  # keys that are forgotten in one transaction

FIND = "SELECT key, outcome FROM seen WHERE key = ANY ($1::bytea[])"
FORGET = f"""
DELETE FROM seen WHERE key IN (
    SELECT key FROM seen WHERE received_at < now() - $1::interval
    ORDER BY received_at LIMIT {AT_ONCE})
"""


class Repeated(Exception):
    """Some of a group was stored before; of the group nothing is stored yet."""


@contextmanager
def seen_before() -> Iterator[None]:
    """Raise `Repeated` where a key that is written inside the block is there already."""
    try:
        yield
    except asyncpg.UniqueViolationError as exc:
        if exc.table_name == "seen":
            raise Repeated from exc
        raise


class Seen(msgspec.Struct, frozen=True):
    """What became of a request or a record: the id of its first record, and what was refused."""

    id: int | None
    body: str | None = None
    refused: tuple[Refusal, ...] = ()


def digest(*parts: bytes) -> bytes:
    """Give bytes that tell *parts* from all others."""
    found = hashlib.sha256()
    for part in parts:
        found.update(len(part).to_bytes(8))
        found.update(part)
    return found.digest()[:DIGEST]


def named(receiver: str, name: str, body: bytes) -> Key:
    """Give the key of a request that its sender has named; under it no other body is taken."""
    encoded = name.encode(errors="surrogateescape")
    return Key(digest(b"name", receiver.encode(), encoded), digest(body).hex())


def of_body(receiver: str, body: bytes) -> Key:
    """Give the key of a request that is known by its bytes."""
    return Key(digest(b"body", receiver.encode(), body))


class Keys:
    """
    The keys of a group's requests and records, and which of them were seen before.

    ``ids`` are those of records stored before, by their place in the group, where they are
    known; ``refused`` is what was refused then, and ``reused`` are the requests, by their
    place, whose key another body has.
    """

    def __init__(self, batches: Sequence[Batch]) -> None:
        self.ids: dict[int, int | None] = {}
        self.refused: dict[int, str] = {}
        self.reused: set[int] = set()
        self._seen: set[bytes] = set()
        self._requests: dict[bytes, tuple[int, range, str | None]] = {}
        self._records: dict[bytes, int] = {}
        self._given = [record.id for batch in batches for record in batch.records]
        start = 0
        for number, batch in enumerate(batches):
            places = range(start, start + len(batch.records))
            start = places.stop
            if batch.key is not None:
                self._requests[batch.key.digest] = (number, places, batch.key.body)
            for place, record in zip(places, batch.records, strict=True):
                if record.extra is not None and UID in record.extra:
                    uid = digest(b"record", msgspec.json.encode(record.extra[UID]))
                    if (first := self._records.setdefault(uid, place)) != place:
                        self.ids[place] = self._given[first]  # twice in this group

    def rows(self, refused: Mapping[int, str]) -> list[tuple[bytes, str]]:
        """Give the keys to write with the `Seen` of each; *refused* places are not stored."""
        seen = {
            known: Seen(self._given[place])
            for known, place in self._records.items()
            if place not in refused and place not in self.ids
        }
        for known, (_, places, body) in self._requests.items():
            if known not in self._seen:
                seen[known] = Seen(self._given[places.start], body, refusals(places, refused))
        # In order: two transactions that write the same keys would deadlock in another.
        return [(known, msgspec.json.encode(seen[known]).decode()) for known in sorted(seen)]

    async def find(self, connection: Any) -> None:
        """Learn what of the group was stored before."""
        asked = [*self._requests, *self._records]
        for known, outcome in await connection.fetch(FIND, asked):
            seen = msgspec.json.decode(outcome, type=Seen)
            if known in self._records:
                self.ids[self._records[known]] = seen.id
                continue
            self._seen.add(known)
            number, places, body = self._requests[known]
            if body != seen.body:
                self.reused.add(number)
            self.ids |= dict.fromkeys(places)
            self.ids[places.start] = seen.id
            self.refused |= {places.start + each.index: each.reason for each in seen.refused}


def refusals(places: range, refused: Mapping[int, str]) -> tuple[Refusal, ...]:
    """Give what was *refused* of the request that has these *places* in its group."""
    return tuple(
        Refusal(index=place - places.start, reason=refused[place])
        for place in (places if refused else ())
        if place in refused
    )


def outcome(places: range, refused: Mapping[int, str], keys: Keys) -> Outcome:
    """Give what the request that has these *places* in its group is told, once that is stored."""
    told = refusals(places, refused)
    repeated = sum(place in keys.ids and place not in refused for place in places if keys.ids)
    return Outcome(stored=len(places) - len(told), refused=told, repeated=repeated)


async def forget(pool: asyncpg.Pool, window: float) -> list[str]:
    """Forget keys older than *window* seconds; what comes again after it is stored again."""
    with translated():
        while True:
            status = await pool.execute(FORGET, dt.timedelta(seconds=window))
            if int(status.split()[-1]) < AT_ONCE:
                return []
