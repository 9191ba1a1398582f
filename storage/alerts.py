"""
Alerts: the state of each rule, which changes in one transaction with all that tells of it.

Whoever evaluates a rule locks its row and looks whether it has been evaluated meanwhile. So any
process may do it, one does, and what it has committed is what the next one goes on with.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import msgspec

from storage import conditions, notifications, silences
from storage.conditions import Found, Met, New, Question
from storage.counts import Span
from storage.errors import StorageError, translated
from storage.lifecycle import Alert, Change, Step, Terms, step
from storage.notifications import Content, Told

if TYPE_CHECKING:
    from collections.abc import Sequence

    import asyncpg

    from storage.reader import Reader

SECOND = dt.timedelta(seconds=1)
REGISTER = """
INSERT INTO alert_rules (name, definition) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET definition = excluded.definition, values_until = NULL
WHERE alert_rules.definition <> excluded.definition
"""
STATE = "SELECT evaluated_at, values_until FROM alert_rules WHERE name = $1"
VALUES = "SELECT value FROM alerts WHERE rule = $1"
COLUMNS = (
    "value, id::text, state, active_at, fired_at, notified_at, notifiers, records, before,"
    " description, labels::text"
)
EVALUATED = """
UPDATE alert_rules SET evaluated_at = $2, left_out = $3, error = NULL,
    values_until = coalesce($4, values_until)
WHERE name = $1
"""
FAILED = """
UPDATE alert_rules SET evaluated_at = $2, error = $3
WHERE name = $1 AND evaluated_at IS NOT DISTINCT FROM $4
"""
SET = """
INSERT INTO alerts (rule, value, id, state, active_at, fired_at, notified_at, notifiers, records,
    before, description, labels)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::text::jsonb)
ON CONFLICT (rule, value) DO UPDATE SET id = excluded.id, state = excluded.state,
    active_at = excluded.active_at, fired_at = excluded.fired_at,
    notified_at = excluded.notified_at, notifiers = excluded.notifiers,
    records = excluded.records, before = excluded.before,
    description = excluded.description, labels = excluded.labels
"""
CHANGED = """
INSERT INTO alert_history
    (at, rule, value, alert, state, records, before, description, labels, silenced)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::text::jsonb, $10)
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
# Another collector may have rules that this one lacks, and then evaluates them.
UNSEEN = dt.timedelta(hours=1)
GONE = """
SELECT name FROM alert_rules
WHERE NOT name = ANY ($1) AND coalesce(evaluated_at, '-infinity') < $2
ORDER BY name FOR UPDATE
"""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule as the storage has it; *text* is its search as somebody wrote it."""

    name: str
    text: str
    question: Question
    terms: Terms
    interval: dt.timedelta
    delay: dt.timedelta  # after which records count as all there
    labels: dict[str, str]
    annotations: dict[str, str]

    def described(self, found: Found) -> tuple[str, dict[str, str]]:
        """Give the description and the labels of the alert that *found* makes."""
        by = {self.question.by: found.value} if self.question.by else {}
        return conditions.told(self.question, found), {**by, **self.labels, "alertname": self.name}

    @property
    def definition(self) -> str:
        """What must be the same, that the values which the rule has seen are of use."""
        return f"{self.question.by} in {self.text}"


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


async def retire(pool: asyncpg.Pool, names: Sequence[str], now: dt.datetime) -> list[str]:
    """
    Forget the rules that have none of *names*, and that nobody has evaluated for an hour.

    Their alerts are resolved. Gives their names.
    """
    with translated():
        async with pool.acquire() as connection, connection.transaction():
            gone = [row[0] for row in await connection.fetch(GONE, list(names), now - UNSEEN)]
            for name in gone:
                alerts = await _alerts(connection, name)
                firing = [Change("resolved", each) for each in alerts if each.state == "firing"]
                await _change(connection, name, firing, (), now)
                content = Content(
                    rule=name, annotations={}, query="", by=None, start=now, end=now, alerts=[]
                )
                await _tell(connection, content, firing, now)
            await connection.execute("DELETE FROM alert_rules WHERE name = ANY ($1)", gone)
    return gone


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
        alerts = await _alerts(connection, rule.name)
        after = step(rule.terms, alerts, found, rule.described, silenced, now)
        await _replace(connection, rule.name, alerts, after)
        quiet = {each.alert.id for each in after.changes if silenced(each.alert.labels)}
        await _change(connection, rule.name, after.changes, quiet, now)
        content = Content(
            rule=rule.name,
            annotations=rule.annotations,
            query=rule.text,
            by=rule.question.by,
            start=self._start,
            end=self._end,
            alerts=[],
        )
        await _tell(connection, content, after.told, now)
        await connection.execute(EVALUATED, rule.name, now, met.left_out, until)
        firing = sum(alert.state == "firing" for alert in after.alerts)
        return Outcome(changes=after.changes, firing=firing, left_out=met.left_out)


async def _alerts(connection: Any, rule: str) -> list[Alert]:
    rows = await connection.fetch(
        f"SELECT {COLUMNS} FROM alerts WHERE rule = $1 ORDER BY value", rule
    )
    return [alert(row) for row in rows]


def alert(row: Any) -> Alert:
    """Make an alert of a row with `COLUMNS`."""
    values = {name: row[name] for name in Alert.__struct_fields__}
    labels = msgspec.json.decode(row["labels"])
    return Alert(**{**values, "labels": labels, "notifiers": tuple(row["notifiers"])})


async def _replace(connection: Any, rule: str, before: Sequence[Alert], after: Step) -> None:
    gone = {each.value for each in before} - {each.value for each in after.alerts}
    if gone:
        await connection.execute(
            "DELETE FROM alerts WHERE rule = $1 AND value = ANY ($2)", rule, list(gone)
        )
    rows = []
    for each in after.alerts:
        *values, labels = msgspec.structs.astuple(each)
        rows.append((rule, *values, msgspec.json.encode(labels).decode()))
    await connection.executemany(SET, rows)


async def _change(
    connection: Any,
    rule: str,
    changes: Sequence[Change],
    silenced: set[str] | tuple[()],
    now: dt.datetime,
) -> None:
    rows = [
        (
            now,
            rule,
            alert.value,
            alert.id,
            change.state,
            alert.records,
            alert.before,
            alert.description,
            msgspec.json.encode(alert.labels).decode(),
            alert.id in silenced,
        )
        for change in changes
        for alert in (change.alert,)
    ]
    await connection.executemany(CHANGED, rows)


async def _tell(
    connection: Any, content: Content, changes: Sequence[Change], now: dt.datetime
) -> None:
    """Write one notification for each notifier, with all that it is to know."""
    for notifier in dict.fromkeys(name for each in changes for name in each.alert.notifiers):
        tolds = [_told(each, now) for each in changes if notifier in each.alert.notifiers]
        given = msgspec.structs.replace(content, alerts=tolds)
        await notifications.write(connection, given, [notifier], now)


def _told(change: Change, now: dt.datetime) -> Told:
    alert = change.alert
    return Told(
        id=alert.id,
        state=change.state,
        value=alert.value,
        labels=alert.labels,
        records=alert.records,
        before=alert.before,
        description=alert.description,
        started_at=alert.fired_at or now,
        ended_at=now if change.state == "resolved" else None,
    )
