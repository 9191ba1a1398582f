"""What there is to ask for, as recent records have it: quick to find, and not all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage import fields
from storage.pages import NEWEST
from storage.where import Where

if TYPE_CHECKING:
    from storage.reader import Reader

KEYS_SAMPLE = 300  # records, and resources
VALUES_SAMPLE = 2_000  # records

KEYS = f"""
WITH newest AS MATERIALIZED (
    SELECT extra, resource_id FROM log_entries e ORDER BY {NEWEST} LIMIT {KEYS_SAMPLE}
)
SELECT DISTINCT 'extra.' || key FROM newest,
    jsonb_object_keys(CASE jsonb_typeof(extra) WHEN 'object' THEN extra ELSE '{{}}' END) key
UNION
SELECT DISTINCT 'resource.' || key
FROM (SELECT DISTINCT resource_id FROM newest) seen
JOIN resources r ON r.id = seen.resource_id, jsonb_object_keys(r.attributes) key
"""


async def keys(reader: Reader) -> list[str]:
    """Give the keys of the newest records' ``extra`` and resources, as fields, sorted."""
    async with reader.reading() as connection:
        rows = await connection.fetch(KEYS)
    return sorted(row[0] for row in rows)


async def values(
    reader: Reader, field: str, *, beginning: str, limit: int
) -> list[tuple[str, int]]:
    """
    Give the values of *field* in the newest records, with how many have each, most first.

    They begin with *beginning*, in any case.
    """
    where = Where()
    value = f"({fields.value(where, field)})::text"
    starts = where.bind(beginning)
    newest = f"SELECT * FROM log_entries e ORDER BY {NEWEST} LIMIT {VALUES_SAMPLE}"
    async with reader.reading() as connection:
        rows = await connection.fetch(
            f"SELECT value, count(*) FROM (SELECT {value} AS value FROM ({newest}) e) v"
            f" WHERE starts_with(lower(value), lower({starts}::text))"
            f" GROUP BY value ORDER BY count(*) DESC, value LIMIT {where.bind(limit)}",
            *where.arguments,
        )
    return [(row[0], row[1]) for row in rows]
