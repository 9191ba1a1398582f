"""
The spool's file: an SQLite database of requests that wait for Postgres, on disk before an answer.

All processes of a collector share it, however many there are: SQLite lets one of them write at a
time, and what one that was killed had begun is undone. Each transaction is on disk when it is
over (``synchronous=FULL``). Everything here blocks; `storage.spool` calls it on a thread.
"""

from __future__ import annotations

import datetime as dt
import os
import sqlite3
import time
import zlib
from contextlib import contextmanager
from pathlib import Path  # noqa: TC003  msgspec reads the annotations
from typing import TYPE_CHECKING, Any

import msgspec

from storage import moments
from storage.errors import SpoolFailed, SpoolFull
from storage.records import COLUMNS, TIMES, Batch, LogRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

VERSION = 1  # of the tables; `_upgraded` has to know all that came before
PAGE = 4096  # bytes
BUSY = 5.0  # seconds to wait for another process' transaction
LOG_BYTES = 32 * 1024 * 1024  # of SQLite's own log, beyond which it is cut when it is empty
SLACK = 1_000  # free pages beyond which an empty file is made small again
PIECE_BYTES = 4 * 1024 * 1024  # of entries, compressed, that are read at once

SCHEMA = f"""
CREATE TABLE entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    arrived REAL NOT NULL,     -- seconds since 1970
    records INTEGER NOT NULL,
    batch BLOB NOT NULL        -- msgpack, deflated
);
-- Which entries a transaction may have stored: the ids it gave to their records, and the process
-- of the server that ran it, if it is known.
CREATE TABLE attempts (entry INTEGER PRIMARY KEY, ids BLOB NOT NULL, backend INTEGER NOT NULL);
-- Records that the database refuses for ever. They were acknowledged, so they are kept for who
-- operates the collector.
CREATE TABLE refused (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    refused_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
    receiver TEXT NOT NULL, sender TEXT NOT NULL, reason TEXT NOT NULL, record TEXT NOT NULL
);
CREATE TABLE totals (requests INTEGER NOT NULL, records INTEGER NOT NULL);
INSERT INTO totals VALUES (0, 0);
PRAGMA user_version = {VERSION};
"""
ADD = "INSERT INTO entries (arrived, records, batch) VALUES (?, ?, ?)"
ATTEMPT = "INSERT OR REPLACE INTO attempts VALUES (?, ?, ?)"
COUNT = "UPDATE totals SET requests = requests + ?, records = records + ?"
TOTALS = "SELECT requests, records FROM totals"
OLDEST = "SELECT arrived FROM entries ORDER BY id LIMIT 1"
PIECE = """
SELECT id, records, batch, ids, backend FROM entries LEFT JOIN attempts ON entry = id
WHERE id > ? ORDER BY id
"""
REFUSE = "INSERT INTO refused (receiver, sender, reason, record) VALUES (?, ?, ?, ?)"

_FIELDS = msgspec.structs.fields(LogRecord)
_DEFAULTS = tuple(field.default for field in _FIELDS)
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Batch).decode
_decode_any = msgspec.msgpack.Decoder(dict[str, Any]).decode
_decode_ids = msgspec.msgpack.Decoder(list[int | None]).decode


class SpoolConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Where the spool is, and how much may wait in it."""

    file: Path
    max_bytes: int = 1024 * 1024 * 1024
    max_age: float = 86_400.0  # seconds; while something is older nothing more is taken
    min_free_bytes: int = 256 * 1024 * 1024  # on its disk


class Attempt(msgspec.Struct, frozen=True):
    """What a transaction that may have stored an entry gave to its records, and who ran it."""

    ids: list[int | None] = []  # none: there was no such transaction
    backend: int = 0


class Parcel(msgspec.Struct, frozen=True):
    """A request on its way into the spool, as `encode` has made it."""

    records: int
    batch: bytes
    attempt: Attempt


class Entry(msgspec.Struct, frozen=True):
    """A request that waits."""

    id: int
    batch: Batch
    attempt: Attempt


class Piece(msgspec.Struct):
    """Some entries, the id of the last one, and the ids of those that can't be read."""

    entries: list[Entry] = []
    last: int = 0
    unreadable: list[int] = []


class Waits(msgspec.Struct, frozen=True):
    """What is in the spool; *since* is the time of the oldest, in seconds since 1970."""

    requests: int = 0
    records: int = 0
    bytes: int = 0
    since: float | None = None


class Refused(msgspec.Struct, frozen=True):
    """A record of an entry that the database refuses for ever."""

    batch: Batch
    record: LogRecord
    reason: str


class SpoolFile:
    """The file of *config*, opened by `open`, which makes it if need be."""

    def __init__(self, config: SpoolConfig) -> None:
        self._config = config
        self._connection: sqlite3.Connection | None = None

    def add(self, parcels: Sequence[Parcel]) -> None:
        """
        Return when *parcels* are on disk.

        Raises:
            SpoolFull: a limit is reached; none of them is.
            SpoolFailed: the disk does not take them; none of them is.
        """
        with self._writing() as connection:
            self._check(connection)
            now = time.time()
            for each in parcels:
                entry = connection.execute(ADD, (now, each.records, each.batch)).lastrowid
                if (attempt := each.attempt).ids:
                    connection.execute(ATTEMPT, (entry, _encode(attempt.ids), attempt.backend))
            connection.execute(COUNT, (len(parcels), sum(each.records for each in parcels)))

    def check(self) -> None:
        """
        Return if there is room.

        Raises:
            SpoolFull, SpoolFailed: as `add` would.
        """
        with self._using() as connection:
            self._check(connection)

    def waits(self) -> Waits:
        """Tell what is in the spool."""
        with self._using() as connection:
            requests, records = connection.execute(TOTALS).fetchone()
            oldest = connection.execute(OLDEST).fetchone()
            return Waits(requests, records, _used(connection), oldest and oldest[0])

    def piece(self, after: int, most_records: int) -> Piece:
        """Give the oldest entries with ids above *after*: one, or up to so many records."""
        piece = Piece()
        records = size = 0
        with self._using() as connection:
            rows = connection.execute(PIECE, (after,))
            for entry, number, data, ids, backend in rows:
                records += number
                size += len(data)
                if piece.last and (records > most_records or size > PIECE_BYTES):
                    break
                piece.last = entry
                if (batch := decode(data)) is None:
                    piece.unreadable.append(entry)
                    continue
                attempt = Attempt() if ids is None else Attempt(_decode_ids(ids), backend)
                piece.entries.append(Entry(entry, batch, attempt))
            rows.close()
        return piece

    def attempt(self, attempts: Iterable[tuple[int, Attempt]]) -> None:
        """Remember *attempts* at the entries that have these ids, before they are made."""
        with self._writing() as connection:
            connection.executemany(
                ATTEMPT, [(entry, _encode(each.ids), each.backend) for entry, each in attempts]
            )

    def settle(self, entries: Sequence[Entry], refused: Sequence[Refused] = ()) -> None:
        """Take *entries* out, which are stored but for what was *refused*, which is kept."""
        with self._writing() as connection:
            connection.executemany(
                REFUSE,
                [
                    (each.batch.receiver, each.batch.sender, each.reason, _readable(each.record))
                    for each in refused
                ],
            )
            connection.executemany("DELETE FROM entries WHERE id = ?", [(e.id,) for e in entries])
            connection.executemany(
                "DELETE FROM attempts WHERE entry = ?", [(e.id,) for e in entries]
            )
            records = sum(len(entry.batch.records) for entry in entries)
            connection.execute(COUNT, (-len(entries), -records))

    def shrink(self) -> None:
        """Give the disk back what an empty spool doesn't need."""
        with self._using() as connection:
            (free,) = connection.execute("PRAGMA freelist_count").fetchone()
            if free > SLACK:
                connection.execute("VACUUM")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _check(self, connection: sqlite3.Connection) -> None:
        config = self._config
        stat = os.statvfs(config.file.parent)
        if (free := stat.f_bavail * stat.f_frsize) < config.min_free_bytes:
            raise SpoolFull(f"the spool's disk has {free} bytes left")
        if (used := _used(connection)) + PAGE > config.max_bytes:
            raise SpoolFull(f"the spool has {used} bytes, the most is {config.max_bytes}")
        oldest = connection.execute(OLDEST).fetchone()
        if oldest and (age := time.time() - oldest[0]) > config.max_age:
            raise SpoolFull(f"the oldest request in the spool waits for {age:.0f} s")

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Give the connection inside a transaction, which is on disk at the end of the block."""
        with self._using() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    @contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        """Give the connection, opened if need be; SQLite's errors are ours."""
        try:
            if self._connection is None:
                self._connection = self._opened()
            yield self._connection
        except sqlite3.Error as exc:
            if getattr(exc, "sqlite_errorname", "") == "SQLITE_FULL":
                raise SpoolFull(f"the spool: {exc}") from exc
            self.close()  # the next one opens it anew
            raise SpoolFailed(f"the spool {self._config.file}: {exc}") from exc
        except OSError as exc:
            raise SpoolFailed(f"the spool: {exc}") from exc

    def _opened(self) -> sqlite3.Connection:
        config = self._config
        config.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        connection = sqlite3.connect(
            config.file, timeout=BUSY, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute(f"PRAGMA page_size = {PAGE}")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
            connection.execute(f"PRAGMA max_page_count = {config.max_bytes // PAGE}")
            _upgraded(connection)
        except BaseException:
            connection.close()
            raise
        return connection


def _upgraded(connection: sqlite3.Connection) -> None:
    """Make the tables, if nobody has."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            for statement in SCHEMA.split(";\n"):
                connection.execute(statement)
        elif version != VERSION:
            raise SpoolFailed(f"the spool is of version {version}, this collector's is {VERSION}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _used(connection: sqlite3.Connection) -> int:
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    return int((pages - free) * PAGE)


def encode(batch: Batch) -> bytes:
    """Give *batch* as it is in the file: by names, so that later versions can read it."""
    fields = {name: getattr(batch, name) for name in batch.__struct_fields__}
    fields["records"] = [_named(record) for record in batch.records]
    return zlib.compress(_encode(fields), 1)


def decode(data: bytes) -> Batch | None:
    """Give the batch that `encode` has made *data* of, or None where it is no such thing."""
    try:
        plain = zlib.decompress(data)
        try:
            return _decode(plain)
        except msgspec.ValidationError:
            return _former(_decode_any(plain))
    except (zlib.error, msgspec.MsgspecError):
        return None


def _former(batch: dict[str, Any]) -> Batch:
    """Give a batch whose times were written as msgpack's, as all were at first."""
    batch["records"] = msgspec.convert(batch.get("records"), list[dict[str, Any]])
    for record in batch["records"]:
        for name, value in record.items():
            if isinstance(value, dt.datetime):
                record[name] = moments.moment(value)
    return msgspec.convert(batch, Batch)


def _named(record: LogRecord) -> dict[str, object]:
    """Give what of *record* is not as it is by default, and no id."""
    values = zip(COLUMNS, msgspec.structs.astuple(record), _DEFAULTS, strict=True)
    return {name: value for name, value, default in values if value is not default and name != "id"}


def _readable(record: LogRecord) -> str:
    times = {name: getattr(record, name) for name in TIMES}
    shown = {name: moments.time(time) for name, time in times.items() if time is not None}
    return msgspec.json.encode(_named(record) | shown).decode(errors="replace")
