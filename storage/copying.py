"""COPY into ``log_entries``, and what goes along with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from storage.errors import Rejected, translated
from storage.records import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from storage.records import LogRecord, Resource, Scope

# The lower level of partitions has no trigger; see the first migration. Of a hypertable there
# is one level, and the transaction says that the trigger has nothing to do.
TABLE = {False: "log_entries_days", True: "log_entries"}
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


async def intern(
    connection: Any, resources: Mapping[int, Resource], scopes: Mapping[int, Scope]
) -> None:
    """Store resources and scopes, by their ids, that may be there already."""
    for statement, found in ((INSERT_RESOURCES, resources), (INSERT_SCOPES, scopes)):
        if found:
            # Sorted: two transactions that insert the same ones in another order deadlock.
            columns = zip(*(astuple(found[key]) for key in sorted(found)), strict=True)
            await connection.execute(statement, *map(list, columns))
