"""
The ledger: what each transaction added to the table, and who sent it.

There is a row for each receiver, sender and hour of the records' times, so that who looks for
the records of a transaction need not look through all the time between a late one and the
others.
"""

from __future__ import annotations

import datetime as dt  # noqa: TC003  msgspec reads the annotations when the class is made
from typing import TYPE_CHECKING, Any

import msgspec

from storage.repeats import Repeated

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from storage.records import Batch
    from storage.repeats import Keys

    Within = tuple[int, dt.datetime, dt.datetime]  # an hour: records, the first and last time

INSERT = """
INSERT INTO ledger (receiver, sender, requests, records, refused, min_timestamp, max_timestamp)
SELECT * FROM unnest($1::text[], $2::text[], $3::integer[], $4::integer[], $5::integer[],
    $6::timestamptz[], $7::timestamptz[])
"""
INSERT_WITH_KEYS = f"""
WITH entered AS ({INSERT})
INSERT INTO seen (key, outcome) SELECT * FROM unnest($8::bytea[], $9::jsonb[])
ON CONFLICT (key) DO NOTHING RETURNING 1
"""


class _Entry(msgspec.Struct):
    requests: int = 0
    records: int = 0
    refused: int = 0
    first: dt.datetime | None = None
    last: dt.datetime | None = None

    def add(self, records: int, first: dt.datetime, last: dt.datetime) -> None:
        self.records += records
        self.first = first if self.first is None else min(self.first, first)
        self.last = last if self.last is None else max(self.last, last)


async def enter(
    connection: Any, batches: Iterable[Batch], refused: Mapping[int, str], keys: Keys
) -> None:
    """
    Write what the transaction of *connection* has added, and what it is known by.

    That are *batches*, but the *refused* records and those that *keys* knows to be stored
    before, by their places among the records of all batches. Of the hours of a batch the first
    counts it and its refused records.

    Raises:
        Repeated: more than *keys* knows was stored before; the transaction has to be undone.
    """
    entries: dict[tuple[str, str, dt.datetime | None], _Entry] = {}
    place = 0
    for batch in batches:
        times = [record.timestamp for record in batch.records]
        bad = 0
        if refused or keys.ids:
            places = range(place, place + len(times))
            bad = sum(n in refused for n in places)
            times = [
                time
                for n, time in zip(places, times, strict=True)
                if n not in refused and n not in keys.ids
            ]
        place += len(batch.records)
        hours = _by_hour(times)
        for hour, within in hours.items():
            entries.setdefault((batch.receiver, batch.sender, hour), _Entry()).add(*within)
        counted = (batch.receiver, batch.sender, next(iter(hours), None))
        entry = entries.setdefault(counted, _Entry())
        entry.requests += 1
        entry.refused += bad
    rows = (
        (receiver, sender, *msgspec.structs.astuple(entry))
        for (receiver, sender, _), entry in entries.items()
    )
    columns = [list(column) for column in zip(*rows, strict=True)]
    seen = keys.rows(refused)
    if not seen:
        await connection.execute(INSERT, *columns)
        return
    known = map(list, zip(*seen, strict=True))
    written = await connection.fetch(INSERT_WITH_KEYS, *columns, *known)
    if len(written) < len(seen):
        raise Repeated


def _by_hour(times: Sequence[dt.datetime]) -> dict[dt.datetime, Within]:
    if not times:
        return {}
    first, last = min(times), max(times)
    if (hour := _hour(first)) == _hour(last):  # nearly always, so it is quick
        return {hour: (len(times), first, last)}
    hours: dict[dt.datetime, list[dt.datetime]] = {}
    for time in times:
        hours.setdefault(_hour(time), []).append(time)
    return {hour: (len(each), min(each), max(each)) for hour, each in hours.items()}


def _hour(moment: dt.datetime) -> dt.datetime:
    return moment.replace(minute=0, second=0, microsecond=0)
