"""COPY into ``log_entries``, and what goes along with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from storage.errors import Rejected, translated
from storage.records import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from storage.layout import Engine
    from storage.records import LogRecord, Resource, Scope

    Copier = Callable[[Any, str, Sequence[LogRecord]], Awaitable[dict[int, str]]]

# The lower level of partitions has no trigger; see the first migration. Of a hypertable there
# is one level, and the transaction says that the trigger has nothing to do.
TABLE: dict[Engine, str] = {
    "postgres": "log_entries_days",
    "citus": "log_entries_days",
    "timescaledb": "log_entries",
}
# It refuses what a worker would, and says why.
CHECKED = """
CREATE TEMPORARY TABLE log_entries_checked (LIKE log_entries_default INCLUDING ALL)
ON COMMIT DROP
"""
INSERT_RESOURCES = """
INSERT INTO resources (id, attributes, schema_url, dropped_attributes_count)
SELECT * FROM unnest($1::bigint[], $2::jsonb[], $3::text[], $4::bigint[])
ON CONFLICT (id) DO NOTHING
"""
INSERT_SCOPES = """
INSERT INTO scopes (id, name, version, attributes, schema_url, dropped_attributes_count)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::jsonb[], $5::text[], $6::bigint[])
ON CONFLICT (id) DO NOTHING
"""
astuple = msgspec.structs.astuple


async def copy(
    connection: Any, table: str, records: Sequence[LogRecord], then: str = ""
) -> dict[int, str]:
    """
    COPY *records*, and run the statements *then* in the same transaction.

    What one simple query holds is one transaction, unless one is open. So both go in one
    exchange with the server instead of five: asyncpg puts ``where`` as it is after the COPY.
    """
    await connection.copy_records_to_table(
        table,
        records=map(astuple, records),
        columns=COLUMNS,
        where=f"true; {then}" if then else None,
    )
    return {}


async def copy_good(connection: Any, table: str, records: Sequence[LogRecord]) -> dict[int, str]:
    """COPY *records*, halving them after a refusal, down to those that are bad."""
    try:
        with translated():
            async with connection.transaction():
                return await copy(connection, table, records)
    except Rejected as exc:
        if len(records) == 1:
            return {0: str(exc)}
        middle = len(records) // 2
        refused = await copy_good(connection, table, records[:middle])
        for place, reason in (await copy_good(connection, table, records[middle:])).items():
            refused[middle + place] = reason
        return refused


def copier(kept_by: Engine, *, straight: bool) -> Copier:
    """Give what puts records into the table: the *straight* way, or leaving out bad ones."""
    if kept_by == "citus":
        return _copy_to_workers if straight else _copy_checked
    return copy if straight else copy_good


async def _copy_to_workers(
    connection: Any, table: str, records: Sequence[LogRecord]
) -> dict[int, str]:
    """COPY *records*; whatever a worker doesn't take, Citus calls an internal error."""
    try:
        return await copy(connection, table, records)
    except asyncpg.InternalServerError as exc:
        raise Rejected(str(exc)) from exc


async def _copy_checked(
    connection: Any, table: str, records: Sequence[LogRecord]
) -> dict[int, str]:
    await connection.execute(CHECKED)
    refused = await copy_good(connection, "log_entries_checked", records)
    if good := [record for place, record in enumerate(records) if place not in refused]:
        await copy(connection, table, good)
    return refused


async def intern(
    connection: Any, resources: Mapping[int, Resource], scopes: Mapping[int, Scope]
) -> None:
    """Store resources and scopes, by their ids, that may be there already."""
    for statement, found in ((INSERT_RESOURCES, resources), (INSERT_SCOPES, scopes)):
        if found:
            # Sorted: two transactions that insert the same ones in another order deadlock.
            columns = zip(*(astuple(found[key]) for key in sorted(found)), strict=True)
            await connection.execute(statement, *map(list, columns))
