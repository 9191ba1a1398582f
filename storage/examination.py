"""What can be told of a database before anybody relies on it: its settings, rights and clock."""

from __future__ import annotations

import datetime as dt
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from migrations.reader import READER
from storage.errors import translated

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

OLDEST = 150_000  # server_version_num of what we run on
TIMEOUT = 10.0  # seconds to connect, and for each question
FACTS = """
SELECT current_setting('server_version') AS version,
    current_setting('server_version_num')::integer AS number,
    current_setting('fsync') = 'on' AS fsync,
    current_setting('full_page_writes') = 'on' AS full_page_writes,
    current_setting('max_connections')::integer
        - current_setting('superuser_reserved_connections')::integer AS most_connections,
    (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') - 1
        AS connections,
    pg_is_in_recovery() AS standby,
    current_user::text AS "user",
    has_schema_privilege(current_schema(), 'CREATE') AS creates,
    (SELECT has_table_privilege(oid, 'INSERT') FROM pg_class
        WHERE oid = to_regclass('log_entries')) AS inserts,
    (SELECT pg_has_role(oid, 'MEMBER') FROM pg_roles WHERE rolname = $1) AS reads
"""


class Examined(msgspec.Struct, frozen=True, kw_only=True):
    """What the server says of itself, and of what we may do there."""

    version: str
    number: int
    fsync: bool
    full_page_writes: bool
    most_connections: int  # that are left to others than superusers
    connections: int  # of others now
    standby: bool
    user: str
    creates: bool | None  # tables, in the schema; None where there is none
    inserts: bool | None  # records; None where there is no table
    reads: bool | None  # as the role for queries; None where there is none
    ahead: dt.timedelta  # of its clock, before ours


async def examine(dsn: str) -> Examined:
    """
    Ask the server of *dsn*.

    Raises:
        Unavailable: it cannot be reached.
    """
    async with _connected(dsn) as connection:
        row = await connection.fetchrow(FACTS, READER, timeout=TIMEOUT)
        before = dt.datetime.now(dt.UTC)
        there = await connection.fetchval("SELECT clock_timestamp()", timeout=TIMEOUT)
        after = dt.datetime.now(dt.UTC)
    return Examined(**row, ahead=there - (before + (after - before) / 2))


@asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator[Any]:
    with translated():
        connection: Any = await asyncpg.connect(dsn, timeout=TIMEOUT)
        try:
            yield connection
        finally:
            await connection.close(timeout=TIMEOUT)
