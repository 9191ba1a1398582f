"""
Evaluating a rule of alerts, so that of many processes one does.

Whoever evaluates a rule locks its row and looks whether it has been evaluated meanwhile. So any
process may do it, and what it has committed is what the next one goes on with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from storage import alerts, conditions, silences
from storage.conditions import Found, Met, New
from storage.counts import Span
from storage.errors import StorageError, translated
from storage.lifecycle import Change, step
from storage.notifications import Content

if TYPE_CHECKING:
    import datetime as dt

    import asyncpg

    from storage.alerts import Rule
    from storage.reader import Reader

REGISTER = """
INSERT INTO alert_rules (name, definition) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET definition = excluded.definition, values_until = NULL
WHERE alert_rules.definition <> excluded.definition
"""
STATE = "SELECT evaluated_at, values_until FROM alert_rules WHERE name = $1"
VALUES = "SELECT value FROM alerts WHERE rule = $1"
EVALUATED = """
UPDATE alert_rules SET evaluated_at = $2, left_out = $3, error = NULL,
    values_until = coalesce($4, values_until)
WHERE name = $1
"""
FAILED = """
UPDATE alert_rules SET evaluated_at = $2, error = $3
WHERE name = $1 AND evaluated_at IS NOT DISTINCT FROM $4
"""
SEEN = """
INSERT INTO alert_values AS known (rule, value, since, last, records)
SELECT $1, * FROM unnest($2::text[], $3::timestamptz[], $4::timestamptz[], $5::bigint[])
ON CONFLICT (rule, value) DO UPDATE SET
    since = CASE WHEN excluded.since > known.last + $6 THEN excluded.since ELSE known.since END,
    records = CASE WHEN excluded.since > known.last + $6 THEN 0 ELSE known.records END
        + excluded.records,
    last = greatest(known.last, excluded.last)
"""
NEW = """
SELECT value, records, count(*) OVER () FROM alert_values
WHERE rule = $1 AND since >= $2 AND since < $3
ORDER BY value IN (SELECT a.value FROM alerts a WHERE a.rule = $1) DESC, since DESC, value LIMIT $4
"""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What an evaluation came to."""

    changes: list[Change]
    firing: int
    left_out: int


async def evaluate(
    pool: asyncpg.Pool, reader: Reader, rule: Rule, now: dt.datetime
) -> Outcome | None:
    """
    Evaluate *rule* at *now*, or give None where it isn't due or somebody else has done so.

    Raises:
        StorageError: it could not be evaluated; nothing has changed, and the rule has the reason.
    """
    with translated():
        await pool.execute(REGISTER, rule.name, rule.definition)
        ((before, until),) = await pool.fetch(STATE, rule.name)
        values = [row[0] for row in await pool.fetch(VALUES, rule.name)]
    if before is not None and abs(now - before) < rule.interval:
        return None
    end = (now - rule.delay).replace(microsecond=0)
    evaluation = _Evaluation(rule, now, end, before)
    try:
        if isinstance(rule.question.condition, New):
            return await evaluation.settle_new(pool, reader, rule.question.condition, until)
        return await evaluation.settle(
            pool, await conditions.met(reader, rule.question, end, values)
        )
    except StorageError as exc:
        with translated():
            await pool.execute(FAILED, rule.name, now, str(exc), before)
        raise


class _Evaluation:
    """One evaluation of *rule*, which was evaluated *before* for the last time."""

    def __init__(
        self, rule: Rule, now: dt.datetime, end: dt.datetime, before: dt.datetime | None
    ) -> None:
        self._rule = rule
        self._now = now
        self._end = end
        self._start = end - rule.question.window
        self._before = before

    async def settle(self, pool: asyncpg.Pool, met: Met) -> Outcome | None:
        """Commit what follows from *met*."""
        with translated():
            async with pool.acquire() as connection, connection.transaction():
                if not await self._first(connection):
                    return None
                return await self._settled(connection, met, None)

    async def settle_new(
        self, pool: asyncpg.Pool, reader: Reader, condition: New, until: dt.datetime | None
    ) -> Outcome | None:
        """Commit which values there are, and what follows from those that are new."""
        rule, earliest = self._rule, self._start - condition.quiet
        since = earliest if until is None else max(until, earliest)
        seen = await conditions.seen(reader, rule.question, Span(min(since, self._end), self._end))
        columns = [list(column) for column in zip(*map(msgspec.structs.astuple, seen), strict=True)]
        with translated():
            async with pool.acquire() as connection, connection.transaction():
                if not await self._first(connection):
                    return None
                if seen:
                    await connection.execute(SEEN, rule.name, *columns, condition.quiet)
                await connection.execute(
                    "DELETE FROM alert_values WHERE rule = $1 AND last < $2", rule.name, earliest
                )
                rows = await connection.fetch(
                    NEW, rule.name, self._start, self._end, rule.question.most
                )
                found = [Found(value, records, None) for value, records, _ in rows]
                left_out = rows[0][2] - len(rows) if rows else 0
                return await self._settled(connection, Met(found, left_out), self._end)

    async def _first(self, connection: Any) -> bool:
        """Lock the rule, and tell whether nobody has evaluated it meanwhile."""
        row = await connection.fetchrow(f"{STATE} FOR UPDATE", self._rule.name)
        return row is not None and row[0] == self._before

    async def _settled(self, connection: Any, met: Met, until: dt.datetime | None) -> Outcome:
        rule, now = self._rule, self._now
        silenced = silences.silencing(await silences.active(connection, now))
        found = {each.value: each for each in met.found}
        former = await alerts.of_rule(connection, rule.name)
        after = step(rule.terms, former, found, rule.described, silenced, now)
        await alerts.replace(connection, rule.name, former, after)
        quiet = {each.alert.id for each in after.changes if silenced(each.alert.labels)}
        await alerts.enter(connection, rule.name, after.changes, quiet, now)
        content = Content(
            rule=rule.name,
            annotations=rule.annotations,
            query=rule.text,
            by=rule.question.by,
            start=self._start,
            end=self._end,
            alerts=[],
        )
        await alerts.tell(connection, content, after.told, now)
        await connection.execute(EVALUATED, rule.name, now, met.left_out, until)
        firing = sum(alert.state == "firing" for alert in after.alerts)
        return Outcome(changes=after.changes, firing=firing, left_out=met.left_out)
