"""What is, and what was: the alerts as people ask for them."""

from __future__ import annotations

import datetime as dt  # noqa: TC003  msgspec reads the annotations
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from storage import alerts
from storage.errors import translated
from storage.lifecycle import Alert  # noqa: TC001  msgspec reads the annotations

if TYPE_CHECKING:
    import asyncpg

RULES = "SELECT name, evaluated_at, left_out, error FROM alert_rules ORDER BY name"
PAGE = """
SELECT id, at, rule, value, alert::text, state, records, before, description, labels::text,
    silenced
FROM alert_history
WHERE ($1::text IS NULL OR rule = $1) AND ($2::bigint IS NULL OR id < $2)
ORDER BY id DESC LIMIT $3
"""
# Of what still waits, or fires, nothing is forgotten.
FORGET = (
    "DELETE FROM alert_history WHERE at < $1",
    "DELETE FROM alert_silences WHERE until < $1",
    "DELETE FROM alert_notifications WHERE changed_at < $1 AND state <> 'waiting'",
)


class Evaluated(msgspec.Struct, frozen=True, kw_only=True):
    """A rule, how its last evaluation went, and its alerts."""

    name: str
    evaluated_at: dt.datetime | None
    left_out: int
    error: str | None
    alerts: list[Alert]


class Occurrence(msgspec.Struct, frozen=True, kw_only=True):
    """An alert that began to fire, or ceased to."""

    id: int
    at: dt.datetime
    rule: str
    value: str
    alert: str
    state: Literal["firing", "resolved"]
    records: int
    before: int | None
    description: str
    labels: dict[str, str]
    silenced: bool


async def rules(pool: asyncpg.Pool) -> list[Evaluated]:
    """Give all rules that were evaluated, by name, each with its alerts."""
    with translated():
        found = await pool.fetch(RULES)
        rows = await pool.fetch(f"SELECT rule, {alerts.COLUMNS} FROM alerts ORDER BY rule, value")
    of: dict[str, list[Alert]] = {}
    for row in rows:
        of.setdefault(row["rule"], []).append(alerts.alert(row))
    return [
        Evaluated(name=name, evaluated_at=at, left_out=left, error=error, alerts=of.get(name, []))
        for name, at, left, error in found
    ]


async def page(
    pool: asyncpg.Pool, *, rule: str | None, limit: int, before: int | None
) -> list[Occurrence]:
    """Give the newest entries, of a rule alone if wanted, up to the one with the id *before*."""
    with translated():
        return [_entry(row) for row in await pool.fetch(PAGE, rule, before, limit)]


async def forget(pool: asyncpg.Pool, time: dt.datetime) -> None:
    """Delete what was over before *time*."""
    with translated():
        for statement in FORGET:
            await pool.execute(statement, time)


def _entry(row: Any) -> Occurrence:
    return Occurrence(**{**row, "labels": msgspec.json.decode(row["labels"])})
