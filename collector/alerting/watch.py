"""Evaluating the rules, and telling what came of it, beside whatever else the process does."""

from __future__ import annotations

import asyncio
import datetime as dt
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog

from collector import telemetry
from collector.alerting import notifiers
from collector.alerting.notifiers import Failed
from collector.housekeeping import Chore, housekeeping
from storage import alert_history, alerts, database, evaluation, notifications
from storage.errors import StorageError
from storage.reader import Reader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from collector.alerting.settings import Alerts
    from storage.notifications import Notification

WRITERS, READERS = 2, 1  # connections of the changes, and of the questions
CONNECTIONS = WRITERS + READERS
LOOKS = 1.0  # seconds between two looks at what is due
TIDIES = 600.0  # seconds
MOST = 20  # notifications under way at once
SPARE = dt.timedelta(seconds=60)  # beyond the notifiers' time until somebody else sends one
FIRST_WAIT, LONGEST_WAIT = 5.0, 300.0  # seconds until what failed is sent again
MOST_NAMED = 10  # values in a line of the log

log = structlog.get_logger()


@asynccontextmanager
async def alerting(config: Alerts, dsn: str) -> AsyncIterator[None]:
    """
    Evaluate the rules of *config* inside the block, and send what is to be told.

    Raises:
        Unavailable: the database cannot be reached at the start.
    """
    if not (config.rules or config.notifiers.named):
        yield
        return
    async with (
        database.connected(dsn, size=WRITERS) as pool,
        database.reading(dsn, size=READERS) as readers,
    ):
        watch = Watch(config, pool, Reader(readers, timeout=config.query_timeout))
        chores = [
            Chore(name="alerts", interval=LOOKS, do=watch.evaluate),
            Chore(name="notifications", interval=LOOKS, do=watch.deliver),
        ]
        async with housekeeping(chores):
            yield


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class Watch:
    """What there is to do, each by one call; *now* is the clock, aware."""

    def __init__(
        self,
        config: Alerts,
        pool: database.Pool,
        reader: Reader,
        now: Callable[[], dt.datetime] = _now,
    ) -> None:
        self._config = config
        self._rules = config.stored
        self._notifiers = config.notifiers.named
        self._pool = pool
        self._reader = reader
        self._now = now
        self._looked: dict[str, dt.datetime] = {}
        self._firing: dict[str, int] = {}
        longest = max((each.timeout for each in self._notifiers.values()), default=0.0)
        self._lease = dt.timedelta(seconds=longest) + SPARE

    async def evaluate(self) -> list[str]:
        """Evaluate the rules that are due; one that cannot be costs no other."""
        for rule in self._rules:
            now, looked = self._now(), self._looked.get(rule.name)
            if looked is None or abs(now - looked) >= rule.interval:
                self._looked[rule.name] = now
                await self._evaluate(rule, now)
        return []

    async def _evaluate(self, rule: alerts.Rule, now: dt.datetime) -> None:
        try:
            outcome = await evaluation.evaluate(self._pool, self._reader, rule, now)
        except StorageError as exc:
            telemetry.alert_evaluations.labels(rule.name, "failed").inc()
            log.warning("alert_not_evaluated", rule=rule.name, error=str(exc))
            return
        if outcome is None:  # somebody else has
            telemetry.alerts_firing.labels(rule.name).set(0)
            return
        telemetry.alert_evaluations.labels(rule.name, "done").inc()
        telemetry.alerts_firing.labels(rule.name).set(outcome.firing)
        telemetry.alert_groups_left_out.labels(rule.name).inc(outcome.left_out)
        if outcome.left_out:
            log.warning("alert_groups_left_out", rule=rule.name, groups=outcome.left_out)
        for state in ("firing", "resolved"):
            if values := [each.alert.value for each in outcome.changes if each.state == state]:
                facts = {"alerts": len(values), "of": values[:MOST_NAMED]}
                log.info("alerts_changed", rule=rule.name, state=state, **facts)

    async def deliver(self) -> list[str]:
        """Send what is to be sent now."""
        while claimed := await notifications.claim(
            self._pool, self._now(), notifiers=self._notifiers, lease=self._lease, most=MOST
        ):
            await asyncio.gather(*map(self._deliver, claimed))
        return []

    async def _deliver(self, notification: Notification) -> None:
        name = notification.notifier
        try:
            await notifiers.tell(self._notifiers[name], notification, self._config.external_url)
        except Failed as exc:
            await self._failed(notification, exc)
        else:
            await notifications.sent(self._pool, notification.number, self._now())
            telemetry.alert_notifications.labels(name, "sent").inc()

    async def _failed(self, notification: Notification, exc: Failed) -> None:
        now, error = self._now(), str(exc)
        facts = {"notifier": notification.notifier, "rule": notification.rule, "error": error}
        given_up = now - notification.created_at >= dt.timedelta(seconds=self._config.give_up_after)
        if given_up:
            await notifications.given_up(self._pool, notification.number, error, now)
            log.error("notification_given_up", attempts=notification.attempts, **facts)
        else:
            wait = min(FIRST_WAIT * 2 ** min(notification.attempts - 1, 10), LONGEST_WAIT)
            wait = min(max(wait, exc.retry_after or 0.0), LONGEST_WAIT)
            again = now + dt.timedelta(seconds=wait)
            await notifications.failed(self._pool, notification.number, error, again, now)
            log.warning("notification_failed", attempts=notification.attempts, **facts)
        outcome = "given_up" if given_up else "failed"
        telemetry.alert_notifications.labels(notification.notifier, outcome).inc()


def tidying(config: Alerts, pool: database.Pool, now: Callable[[], dt.datetime] = _now) -> Chore:
    """Give the chore that forgets what is no longer configured, and what was long ago."""

    async def tidy() -> list[str]:
        time = now()
        gone = await alerts.retire(pool, [rule.name for rule in config.rules], time)
        for name in gone:
            telemetry.alerts_firing.labels(name).set(0)
        # An hour later than who has the notifier gives up.
        late = dt.timedelta(seconds=config.give_up_after) + alerts.UNSEEN
        for notifier in await notifications.abandon(pool, time - late, time):
            telemetry.alert_notifications.labels(notifier, "given_up").inc()
            log.error("notification_given_up", notifier=notifier)
        await alert_history.forget(pool, time - dt.timedelta(days=config.history))
        return [f"forgot the rule {name}" for name in gone]

    return Chore(name="alerts_history", interval=TIDIES, do=tidy)
