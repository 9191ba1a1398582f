"""
The ledger: what each transaction added to the table, and who sent it.

There is a row for each receiver, sender and hour of the records' times, so that who looks for
the records of a transaction need not look through all the time between a late one and the
others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from storage.moments import HOUR, Moment, literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from storage.records import Batch
    from storage.repeats import Keys

    Within = tuple[int, Moment, Moment]  # an hour: records, the first and last time

INSERT = """
INSERT INTO ledger (receiver, sender, requests, records, refused, min_timestamp, max_timestamp)
VALUES {}"""
INSERT_KEYS = "INSERT INTO seen (key, outcome) VALUES {}"


class _Entry(msgspec.Struct):
    requests: int = 0
    records: int = 0
    refused: int = 0
    first: Moment | None = None
    last: Moment | None = None

    def add(self, records: int, first: Moment, last: Moment) -> None:
        self.records += records
        self.first = first if self.first is None else min(self.first, first)
        self.last = last if self.last is None else max(self.last, last)

    def values(self) -> tuple[object, ...]:
        times = (None if time is None else literal(time) for time in (self.first, self.last))
        return (self.requests, self.records, self.refused, *times)


def entry(batches: Iterable[Batch], refused: Mapping[int, str], keys: Keys) -> str:
    """
    Give the statements that write what a transaction has added, and what it is known by.

    That are *batches*, but the *refused* records and those that *keys* knows to be stored
    before, by their places among the records of all batches. Of the hours of a batch the first
    counts it and its refused records.

    They violate the primary key of ``seen`` where more than *keys* knows was stored before.
    """
    entries: dict[tuple[str, str, int | None], _Entry] = {}
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
        its = entries.setdefault(counted, _Entry())
        its.requests += 1
        its.refused += bad
    statement = INSERT.format(
        _values((receiver, sender, *its.values()) for (receiver, sender, _), its in entries.items())
    )
    if seen := keys.rows(refused):
        statement += f"; {INSERT_KEYS.format(_values(seen))}"
    return statement


def _values(rows: Iterable[Sequence[object]]) -> str:
    return ", ".join(f"({', '.join(map(_literal, row))})" for row in rows)


def _literal(value: object) -> str:
    """Quote a value as SQL does, whatever ``standard_conforming_strings`` says."""
    if value is None:
        return "NULL"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, bytes):
        return rf"E'\\x{value.hex()}'"
    quoted = str(value).replace("\\", r"\\").replace("'", "''")
    return f"E'{quoted}'"


def _by_hour(times: Sequence[Moment]) -> dict[int, Within]:
    if not times:
        return {}
    first, last = min(times), max(times)
    if (hour := first // HOUR) == last // HOUR:  # nearly always, so it is quick
        return {hour: (len(times), first, last)}
    hours: dict[int, list[Moment]] = {}
    for time in times:
        hours.setdefault(time // HOUR, []).append(time)
    return {hour: (len(each), min(each), max(each)) for hour, each in hours.items()}
