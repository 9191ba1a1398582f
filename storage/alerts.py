"""
Alerts: the state of each rule, which changes in one transaction with all that tells of it.

`storage.evaluation` is what changes it, and `storage.alert_history` what people ask for.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import msgspec

from storage import conditions, notifications
from storage.conditions import Found, Question  # noqa: TC001  msgspec reads the annotations
from storage.errors import translated
from storage.lifecycle import Alert, Change, Step, Terms
from storage.notifications import Content, Told

if TYPE_CHECKING:
    from collections.abc import Sequence

    import asyncpg


COLUMNS = (
    "value, id::text, state, active_at, fired_at, notified_at, notifiers, records, before,"
    " description, labels::text"
)
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


async def retire(pool: asyncpg.Pool, names: Sequence[str], now: dt.datetime) -> list[str]:
    """
    Forget the rules that have none of *names*, and that nobody has evaluated for an hour.

    Their alerts are resolved. Gives their names.
    """
    with translated():
        async with pool.acquire() as connection, connection.transaction():
            gone = [row[0] for row in await connection.fetch(GONE, list(names), now - UNSEEN)]
            for name in gone:
                alerts = await of_rule(connection, name)
                firing = [Change("resolved", each) for each in alerts if each.state == "firing"]
                await enter(connection, name, firing, (), now)
                content = Content(
                    rule=name, annotations={}, query="", by=None, start=now, end=now, alerts=[]
                )
                await tell(connection, content, firing, now)
            await connection.execute("DELETE FROM alert_rules WHERE name = ANY ($1)", gone)
    return gone


async def of_rule(connection: Any, rule: str) -> list[Alert]:
    """Give the alerts of *rule* that are pending or fire."""
    rows = await connection.fetch(
        f"SELECT {COLUMNS} FROM alerts WHERE rule = $1 ORDER BY value", rule
    )
    return [alert(row) for row in rows]


def alert(row: Any) -> Alert:
    """Make an alert of a row with `COLUMNS`."""
    values = {name: row[name] for name in Alert.__struct_fields__}
    labels = msgspec.json.decode(row["labels"])
    return Alert(**{**values, "labels": labels, "notifiers": tuple(row["notifiers"])})


async def replace(connection: Any, rule: str, before: Sequence[Alert], after: Step) -> None:
    """Have the alerts of *after* in the place of those *before*, in the caller's transaction."""
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


async def enter(
    connection: Any,
    rule: str,
    changes: Sequence[Change],
    silenced: set[str] | tuple[()],
    now: dt.datetime,
) -> None:
    """Enter *changes* in the history; *silenced* are the ids of alerts that nobody is told of."""
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


async def tell(
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
