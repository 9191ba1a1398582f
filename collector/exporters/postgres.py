"""The settings of exporter ``postgres``: the store, whose commit is what a sender waits for."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import parse_qsl, urlsplit

import msgspec

from collector import secrets
from collector.exporters.retention import Retention
from collector.secrets import Dsn, Server  # noqa: TC001  msgspec reads the annotations
from collector.sections import Bytes, Count, Seconds, Section

EMBEDDED = "embedded"
Days = Annotated[int, msgspec.Meta(ge=0, le=36_500, description="days")]
Shards = Annotated[int, msgspec.Meta(ge=1, le=1_024)]


class Spool(Section, frozen=True, kw_only=True):
    """Where requests wait on local disk, acknowledged, while the database is away."""

    enabled: bool = True
    folder: str = "data/spool"  # from the working directory
    after: Seconds = 1.0  # without a commit; senders of pixsim give up after 2
    max_bytes: Bytes = 1024 * 1024 * 1024
    max_age: Seconds = 86_400.0  # of the oldest; beyond it senders are told to try again
    min_free_bytes: Annotated[int, msgspec.Meta(ge=0, description="bytes")] = 256 * 1024 * 1024


class Postgres(Section, frozen=True, kw_only=True):
    """Which database holds the records, how it is written to, and how long it keeps them."""

    # A URL, or "embedded" for a server of our own; services and their tools know the variable.
    dsn: Dsn = "${env:DATABASE_URL:-embedded}"
    # The server itself, where `dsn` leads to a pooler that lends a connection for a transaction.
    direct_dsn: Server = ""
    data_folder: str = "data/postgres"  # of the embedded server, from the working directory
    engine: Literal["postgres", "timescaledb", "citus"] = "postgres"
    compress_after: Days = 7  # of timescaledb: a day that is so old; 0 compresses none
    shards: Shards = 16  # of citus: a day is divided into so many, when the table is distributed
    connections: Count = 2  # commits at once: one is encoded while others are on their way to disk
    commit_records: Count = 10_000  # no further request joins a commit that has as many
    commit_timeout: Seconds = 10.0  # beyond it senders are told to try again
    # In which what is sent again, having had no answer, is not stored again; 0 is never.
    deduplication_window: Annotated[float, msgspec.Meta(ge=0, description="seconds")] = 600.0
    max_in_flight_bytes: Bytes = 256 * 1024 * 1024  # of all requests from arrival to answer
    max_wait: Seconds = 0.5  # for a request's turn
    spool: Spool = Spool()
    migrate_at_start: bool = True
    partitions_ahead: Annotated[int, msgspec.Meta(ge=1, le=366, description="days")] = 7
    text_index: bool = True  # of the days that are over, for searches; as large as 2/3 of them
    retention: Retention = Retention()

    __repr__ = secrets.represent

    def __post_init__(self) -> None:
        """Check that there is a pooler before the server that is named."""
        if self.embedded and self.direct_dsn:
            raise ValueError("`direct_dsn` is for a `dsn` that leads to a pooler")

    @property
    def embedded(self) -> bool:
        """Whether the database is the server of our own in `data_folder`."""
        return self.dsn == EMBEDDED

    @property
    def server(self) -> str:
        """The DSN of the server itself, or "embedded"."""
        return self.direct_dsn or self.dsn

    @property
    def pooler(self) -> str | None:
        """The DSN of the pooler, if there is one."""
        return self.dsn if self.direct_dsn else None

    @property
    def spool_file(self) -> Path:
        """The file of the spool: one for each database, for what waits is for that one."""
        given = urlsplit(self.server)
        query = dict(parse_qsl(given.query))
        host = given.netloc.rpartition("@")[2] or query.get("host", "")
        name = given.path.strip("/") or query.get("dbname", "")
        if self.embedded:
            host, name = str(Path(self.data_folder).resolve()), EMBEDDED
        told = hashlib.sha256(f"{host}/{name}".encode()).hexdigest()[:8]
        return Path(self.spool.folder) / f"{Path(name).name}-{told}.sqlite3"
