"""
The life of an alert: pending, firing, resolved, and who is told of it.

It is decided here from what is there and what was found, without a look at the database or
the clock.
"""

from __future__ import annotations

import datetime as dt
import uuid
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from storage.conditions import Found

State: TypeAlias = Literal["pending", "firing"]
NO_TIME = dt.timedelta()


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One that is pending or fires, of the group with *value*."""

    value: str
    id: str
    state: State
    active_at: dt.datetime  # the condition has been met since then
    fired_at: dt.datetime | None = None
    notified_at: dt.datetime | None = None  # that it fires, for the last time
    notifiers: tuple[str, ...] = ()  # who was told
    records: int
    before: int | None
    description: str
    labels: dict[str, str]


class Change(msgspec.Struct, frozen=True):
    """An alert that fires, or that doesn't any more."""

    state: Literal["firing", "resolved"]
    alert: Alert


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule says of its alerts, beside their condition."""

    hold: dt.timedelta  # that the condition is met before it fires
    repeat: dt.timedelta  # after which it is told again that it fires; 0 is never
    notifiers: tuple[str, ...]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What is after an evaluation: the alerts, what has changed, and what is to be told."""

    alerts: list[Alert]
    changes: list[Change]
    told: list[Change]


def step(
    terms: Terms,
    alerts: Iterable[Alert],
    found: Mapping[str, Found],
    described: Callable[[Found], tuple[str, dict[str, str]]],
    silenced: Callable[[Mapping[str, str]], bool],
    now: dt.datetime,
) -> Step:
    """
    Give what *alerts* become at *now*, when the condition is met by the groups *found*.

    An alert that is *silenced* fires like any other, and its notifiers are told when the
    silence ends. That it is resolved they are told if they know that it fired.
    """
    after: list[Alert] = []
    changes: list[Change] = []
    told: list[Change] = []
    there = {alert.value: alert for alert in alerts}
    for value, alert in there.items():
        if value not in found and alert.state == "firing":
            changes.append(Change("resolved", alert))
            told.append(Change("resolved", alert))  # to its notifiers; there may be none
    for value, each in found.items():
        alert = _met(there.get(value), each, *described(each), now)
        if alert.state == "pending" and now - alert.active_at >= terms.hold:
            alert = msgspec.structs.replace(alert, state="firing", fired_at=now)
            changes.append(Change("firing", alert))
        if alert.state == "firing" and _due(alert, terms, now) and not silenced(alert.labels):
            notifiers = tuple(dict.fromkeys((*alert.notifiers, *terms.notifiers)))
            alert = msgspec.structs.replace(alert, notified_at=now, notifiers=notifiers)
            told.append(Change("firing", alert))
        after.append(alert)
    return Step(alerts=after, changes=changes, told=told)


def _met(
    alert: Alert | None, found: Found, description: str, labels: dict[str, str], now: dt.datetime
) -> Alert:
    if alert is None:
        return Alert(
            value=found.value,
            id=str(uuid.uuid4()),
            state="pending",
            active_at=now,
            records=found.records,
            before=found.before,
            description=description,
            labels=labels,
        )
    return msgspec.structs.replace(
        alert,
        records=found.records,
        before=found.before,
        description=description,
        labels=labels,
    )


def _due(alert: Alert, terms: Terms, now: dt.datetime) -> bool:
    if alert.notified_at is None:
        return True
    return terms.repeat > NO_TIME and now - alert.notified_at >= terms.repeat
