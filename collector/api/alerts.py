"""Alerts: what fires and what did, and which of it nobody is to be told of."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING

import msgspec
import structlog
from aiohttp import web

from collector import server
from collector.api import alerts_shapes as s
from collector.api.decoding import decode, invalid
from collector.api.responses import ALERTS, answered
from collector.api.searches import read
from collector.search.mistakes import Unfit
from collector.search.times import span
from storage import alert_history, notifications, silences

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from storage.alert_history import Evaluated
    from storage.database import Pool

HELD = dt.timedelta(hours=1)  # where a silence has no end
LAST = dt.datetime.max.replace(tzinfo=dt.UTC)

log = structlog.get_logger()


class Answers(msgspec.Struct, frozen=True):
    """The handlers; *pool* may write, and *configured* are the names of the rules."""

    pool: Pool
    configured: Collection[str]
    now: Callable[[], dt.datetime]

    async def all(self, _: web.Request) -> web.Response:
        """Answer with all rules and their alerts."""
        found = {each.name: each for each in await alert_history.rules(self.pool)}
        silenced = silences.silencing(await silences.active(self.pool, self.now()))
        rules = [
            self._rule(name, found.get(name), silenced)
            for name in sorted({*found, *self.configured})
        ]
        return answered(s.Alerts(rules=rules, waiting=await notifications.waiting(self.pool)))

    async def history(self, request: web.Request) -> web.Response:
        """Answer with what began and ceased to fire."""
        given, _ = decode(s.HistoryAsked, request.query.items())
        found = await alert_history.page(
            self.pool, rule=given.rule, limit=given.limit, before=given.before
        )
        following = found[-1].id if len(found) == given.limit else None
        return answered(s.History(history=found, next_before=following))

    async def silences(self, _: web.Request) -> web.Response:
        """Answer with the silences that hold."""
        return answered(s.Silences(silences=await silences.active(self.pool, self.now())))

    async def silence(self, request: web.Request) -> web.Response:
        """Have nobody told of some alerts, and answer with the silence."""
        server.refuse_strangers(request)
        given, _ = decode(s.Silencing, request.query.items())
        made = await silences.add(
            self.pool,
            _matchers(given),
            until=self._until(given),
            comment=given.comment,
            author=given.author,
            now=self.now(),
        )
        log.info("alerts_silenced", silence=made.id, matchers=made.matchers, until=str(made.until))
        return answered(made)

    async def unsilence(self, request: web.Request) -> web.Response:
        """End a silence, and answer with what it was."""
        server.refuse_strangers(request)
        path, _ = decode(s.SilenceOf, request.match_info.items(), "path")
        if (ended := await silences.end(self.pool, path.id, self.now())) is None:
            raise web.HTTPNotFound(text=f"no silence {path.id} holds")
        log.info("silence_ended", silence=path.id)
        return answered(ended)

    def _until(self, given: s.Silencing) -> dt.datetime:
        now = self.now()
        if given.until is not None:
            if given.until <= now:
                raise web.HTTPConflict(text=f"until is over: {given.until.isoformat()}")
            return given.until
        held = HELD if given.duration is None else read("duration", given.duration, span)
        return now + held if LAST - now > held else LAST

    def _rule(
        self,
        name: str,
        found: Evaluated | None,
        silenced: Callable[[Mapping[str, str]], bool],
    ) -> s.Watched:
        return s.Watched(
            name=name,
            configured=name in self.configured,
            evaluated_at=found.evaluated_at if found else None,
            error=found.error if found else None,
            left_out=found.left_out if found else 0,
            alerts=[
                s.Alert(
                    silenced=silenced(alert.labels),
                    **{
                        field: getattr(alert, field)
                        for field in s.Alert.__struct_fields__
                        if field != "silenced"
                    },
                )
                for alert in (found.alerts if found else ())
            ],
        )


def _matchers(given: s.Silencing) -> dict[str, str]:
    """
    Give by label the value that alerts must have.

    Raises:
        Unprocessable: one is none, there are too many, or a text beside them is too long.
    """
    if len(given.match) > s.MOST_MATCHERS:
        raise invalid("match", Unfit(f"at most {s.MOST_MATCHERS} of them"), given.match[-1])
    for name, text, most in (
        ("comment", given.comment, s.LONGEST_COMMENT),
        ("author", given.author, s.LONGEST_AUTHOR),
    ):
        if len(text) > most:
            raise invalid(name, Unfit(f"a text of at most {most} characters"), text)
    return dict(read("match", each, _matcher) for each in given.match)


def _matcher(text: str) -> tuple[str, str]:
    if not re.fullmatch(s.MATCHER, text):
        raise Unfit("a label and its value, such as service=api")
    name, _, value = text.partition("=")
    return name, value


def routes(
    pool: Pool, configured: Collection[str], now: Callable[[], dt.datetime]
) -> list[web.RouteDef]:
    """Give the routes, with *pool*, which may write, and the clock *now*, aware."""
    answers = Answers(pool, configured, now)
    return [
        web.get(ALERTS, answers.all),
        web.get(f"{ALERTS}/history", answers.history),
        web.get(f"{ALERTS}/silences", answers.silences),
        web.post(f"{ALERTS}/silences", answers.silence),
        web.delete(f"{ALERTS}/silences/{{id:-?[0-9]+}}", answers.unsilence),
    ]
