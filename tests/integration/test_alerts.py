"""Alerts on a real Postgres: when they fire, for how long, and that nothing is told twice."""

from __future__ import annotations

import asyncio
import datetime as dt

import msgspec
import pytest

from collector import cli, configfile, server
from collector.alerting.watch import Watch, tidying
from collector.api import Api
from collector.api.alerts import routes
from collector.body import InFlight
from storage import (
    alert_history,
    alerts,
    conditions,
    evaluation,
    notifications,
    roll_ups,
    silences,
)
from storage.errors import Unavailable
from storage.reader import Reader
from tests.builders import NOON, record
from tests.scripted import Reply, scripted
from tests.stored import store

SECOND, MINUTE = dt.timedelta(seconds=1), dt.timedelta(minutes=1)
DAY = dt.timedelta(days=1)


def configured(*rules, url="http://nowhere.invalid", **settings):
    """The configuration of *rules*, each of which tells notifier a if it says nothing else."""
    rules = [{"name": "r", "window": 60, "interval": 10, "notify": ["a"], **r} for r in rules]
    hooks = {"webhook": {"a": {"url": url}, "b": {"url": url}}}
    given = {"delay": 0, "repeat": 0, "notifiers": hooks, "rules": rules, **settings}
    text = msgspec.json.encode({"alerts": given}).decode()
    return configfile.parse(text, "c", {}).config.alerts


def made(settings=None, **rule):
    (found,) = configured(rule, **(settings or {})).stored
    return found


async def claimed_at(pool, now):
    return await notifications.claim(pool, now, notifiers="ab", lease=MINUTE, most=10)


class Alerting:
    """A rule on a database, evaluated at the times of a test."""

    def __init__(self, pool):
        self.pool = pool

    async def at(self, rule, now):
        """Evaluate; give the values that fire, and those that are pending."""
        outcome = await evaluation.evaluate(self.pool, Reader(self.pool), rule, now)
        assert outcome is not None
        (found,) = await alert_history.rules(self.pool)
        assert (found.left_out, found.error) == (outcome.left_out, None)
        return tuple(
            [each.value for each in found.alerts if each.state == state]
            for state in ("firing", "pending")
        )

    async def told(self, now):
        """Take what is to be told: of each notification the notifier, and state and value."""
        claimed = []
        while more := await claimed_at(self.pool, now):
            for each in more:
                await notifications.sent(self.pool, each.number, now)
            claimed += more
        return [(n.notifier, [(t.state, t.value) for t in n.content.alerts]) for n in claimed]

    async def history(self):
        entries = await alert_history.page(self.pool, rule=None, limit=100, before=None)
        return [(each.state, each.value, each.silenced) for each in reversed(entries)]


@pytest.fixture(name="alerting")
def _alerting(pool):
    return Alerting(pool)


@pytest.mark.parametrize("search", ["level:error", "level:error msg:boom"], ids=["counts", "rows"])
async def test_the_life_of_an_alert(pool, alerting, search):
    """
    An alert is pending for as long as the rule says, fires, is told once and is resolved; so from
    the roll-ups as from the rows. A window has its start, and not its end.
    """
    await store(
        pool,
        *(record(timestamp=NOON + n * SECOND, severity_number=17, msg="boom") for n in range(5)),
    )
    await roll_ups.count(pool)
    rule = made(search=search, count={"above": 4}, **{"for": 10})

    assert ([], []) == await alerting.at(rule, NOON - 6 * SECOND)
    assert ([], []) == await alerting.at(rule, NOON + 4 * SECOND)
    assert ([], [""]) == await alerting.at(rule, NOON + 14 * SECOND)
    assert [] == await alerting.told(NOON + 14 * SECOND)
    assert ([""], []) == await alerting.at(rule, NOON + 24 * SECOND)
    assert [("a", [("firing", "")])] == await alerting.told(NOON + 24 * SECOND)
    assert ([""], []) == await alerting.at(rule, NOON + 60 * SECOND)
    assert [] == await alerting.told(NOON + 60 * SECOND)
    assert ([], []) == await alerting.at(rule, NOON + 71 * SECOND)
    assert [("a", [("resolved", "")])] == await alerting.told(NOON + 71 * SECOND)
    assert [("firing", "", False), ("resolved", "", False)] == await alerting.history()


async def test_what_ends_before_it_fires_is_not_told(pool, alerting):
    """
    An alert whose condition ends while it is pending leaves nothing; the next one begins anew.
    """
    await store(pool, record(timestamp=NOON), record(timestamp=NOON + 2 * MINUTE))
    rule = made(count={"above": 0}, **{"for": 60})

    assert ([], [""]) == await alerting.at(rule, NOON + SECOND)
    assert ([], []) == await alerting.at(rule, NOON + 100 * SECOND)
    assert ([], [""]) == await alerting.at(rule, NOON + 121 * SECOND)
    assert [] == await alerting.told(NOON + 121 * SECOND)
    assert [] == await alerting.history()


async def test_groups(pool, alerting):
    """
    Each value of the field is an alert of its own; what changes at once is one notification for
    each notifier. Beyond the limit groups are left out and counted, never those that fire already.
    """
    await store(pool, *(record(service=s, timestamp=NOON) for s in ("b", "a", "a", "c", "c")))
    rule = made(by="service", count={"above": 1}, limit=2, notify=["b", "a"])

    assert (["a", "c"], []) == await alerting.at(rule, NOON + SECOND)
    both = [("firing", "a"), ("firing", "c")]
    assert [("b", both), ("a", both)] == await alerting.told(NOON + SECOND)

    await store(pool, *(record(service="b", timestamp=NOON) for _ in range(9)))
    outcome = await evaluation.evaluate(pool, Reader(pool), rule, NOON + 11 * SECOND)

    assert (1, 2, []) == (outcome.left_out, outcome.firing, outcome.changes)


async def test_absence(pool, alerting):
    """
    That there are no records fires; of groups those are missed that were there the time before.
    """
    await store(pool, record(service="a", timestamp=NOON), record(service="b", timestamp=NOON))
    none = made(search="service:zzz", count={"below": 1})
    by = made(name="by", by="service", count={"below": 1, "known": 600})
    await roll_ups.count(pool)

    assert ([""], []) == await alerting.at(none, NOON)
    await alerts.retire(pool, [], NOON + 2 * alerts.UNSEEN)
    assert ([], []) == await alerting.at(by, NOON + SECOND)
    await store(pool, record(service="a", timestamp=NOON + MINUTE))
    assert (["b"], []) == await alerting.at(by, NOON + 61 * SECOND)
    assert (["a", "b"], []) == await alerting.at(by, NOON + 121 * SECOND)
    await store(pool, record(service="b", timestamp=NOON + 125 * SECOND))
    assert (["a"], []) == await alerting.at(by, NOON + 131 * SECOND)


async def test_new_values(pool, alerting):
    """
    A value fires that was not there for so many days, also where it was stored while nobody
    looked; one that was there doesn't, and that one was there is not forgotten.
    """
    await store(
        pool,
        record(error_type="Old", timestamp=NOON - 2 * DAY),
        record(error_type="Ancient", timestamp=NOON - 9 * DAY),
        *(record(error_type=each, timestamp=NOON) for each in ("Old", "Ancient", "New", None)),
    )
    rule = made(new={"days": 3})

    assert (["Ancient", "New"], []) == await alerting.at(rule, NOON + SECOND)
    assert ([], []) == await alerting.at(rule, NOON + 2 * MINUTE)
    await store(
        pool,
        record(error_type="Unseen", timestamp=NOON + 5 * MINUTE),
        record(error_type="New", timestamp=NOON + DAY - SECOND),
    )
    assert ([], []) == await alerting.at(rule, NOON + DAY)
    await store(
        pool,
        record(error_type="Unseen", timestamp=NOON + DAY + SECOND),
        record(error_type="Old", timestamp=NOON + 4 * DAY),
        record(error_type="New", timestamp=NOON + 4 * DAY - 2 * SECOND),
    )
    assert ([], []) == await alerting.at(rule, NOON + DAY + 10 * SECOND)
    assert (["Old"], []) == await alerting.at(rule, NOON + 4 * DAY + SECOND)
    assert ["Old", "New"] == [
        each.value
        for each in await alert_history.page(pool, rule="r", limit=4, before=None)
        if each.value != "Ancient"
    ][::2]


async def test_compared_with_the_day_before(pool, alerting):
    """
    More, or fewer, than so many times the number of the same time of another day fires; a few
    records are no trend.
    """
    then = NOON - 7 * DAY
    await store(
        pool,
        *(record(service="up", timestamp=NOON) for _ in range(7)),
        *(record(service="up", timestamp=then) for _ in range(3)),
        *(record(service="down", timestamp=then) for _ in range(6)),
        *(record(service="same", timestamp=at) for at in (NOON, then) for _ in range(9)),
        *(record(service="few", timestamp=NOON) for _ in range(4)),
    )
    terms = {"to": "last_week", "above": 2, "below": 0.5, "least": 5}
    rule = made(by="service", compare=terms)

    assert (["down", "up"], []) == await alerting.at(rule, NOON + SECOND)
    (found,) = await alert_history.rules(pool)
    assert ["0 records in 1 minute, after 6 in the same time 7 days before", 6] == [
        found.alerts[0].description,
        found.alerts[0].before,
    ]


async def test_silence(pool, alerting):
    """
    Nobody is told of what is silenced until the silence ends; who was told that an alert fires is
    told that it is resolved, silence or not.
    """
    await store(pool, *(record(service=each, timestamp=NOON) for each in "abc"))
    rule = made(by="service", count={"above": 0}, labels={"team": "video"})
    told = {"comment": "", "author": "me", "now": NOON}
    await silences.add(pool, {"service": "c"}, until=NOON + DAY, **told)
    matchers = {"team": "vid*", "service": "a"}
    one = await silences.add(pool, matchers, until=NOON + MINUTE, **told)

    assert (["a", "b", "c"], []) == await alerting.at(rule, NOON + SECOND)
    assert [("a", [("firing", "b")])] == await alerting.told(NOON + SECOND)
    fired = {("firing", "a", True), ("firing", "b", False), ("firing", "c", True)}
    assert fired == set(await alerting.history())

    assert await silences.end(pool, one.id, NOON + 2 * SECOND)
    assert await silences.end(pool, one.id, NOON + 2 * SECOND) is None
    await alerting.at(rule, NOON + 11 * SECOND)
    assert [("a", [("firing", "a")])] == await alerting.told(NOON + 11 * SECOND)

    await silences.add(pool, {"alertname": "*"}, until=NOON + DAY, **told)
    await alerting.at(rule, NOON + 2 * MINUTE)
    assert [("a", [("resolved", "a"), ("resolved", "b")])] == await alerting.told(NOON + DAY)


async def test_only_one_of_many_processes_evaluates(pool, alerting):
    """
    Of processes that evaluate a rule at the same time one changes anything, and one that starts
    anew goes on with what is there.
    """
    await store(pool, record(timestamp=NOON))
    rule = made(count={"above": 0})
    now = NOON + SECOND

    outcomes = await asyncio.gather(
        *(evaluation.evaluate(pool, Reader(pool), rule, now) for _ in range(4))
    )

    assert 1 == sum(each is not None for each in outcomes)
    assert await evaluation.evaluate(pool, Reader(pool), rule, now + 5 * SECOND) is None
    assert ([""], []) == await alerting.at(rule, now + 10 * SECOND)
    assert [("a", [("firing", "")])] == await alerting.told(now)
    assert [("firing", "", False)] == await alerting.history()


async def test_what_was_not_settled_is_sent_again(pool, alerting):
    """
    Who claims a notification and dies leaves it to the next one after a while, with the same id;
    that an alert is resolved is told after that it fires, never before.
    """
    await store(pool, record(timestamp=NOON))
    rule = made(count={"above": 0})
    await alerting.at(rule, NOON + SECOND)
    await alerting.at(rule, NOON + 2 * MINUTE)

    now = NOON + 3 * MINUTE
    (first,) = await claimed_at(pool, now)
    assert [] == await claimed_at(pool, now + 59 * SECOND)
    (again,) = await claimed_at(pool, now + MINUTE)
    await notifications.failed(pool, again.number, "no", now + 5 * MINUTE, now)

    assert (first.id, 1, 2) == (again.id, first.attempts, again.attempts)
    assert [("no", 2)] == [(w.error, w.notifications) for w in await notifications.waiting(pool)]
    assert [] == await alerting.told(now + MINUTE)
    assert ["firing", "resolved"] == [
        state for _, told in await alerting.told(now + 5 * MINUTE) for state, _ in told
    ]


async def test_an_evaluation_that_fails_changes_nothing(pool, alerting, monkeypatch):
    """
    A rule that cannot be evaluated keeps its alerts, and says why, until it can.
    """
    await store(pool, record(timestamp=NOON))
    rule = made(count={"above": 0})
    await alerting.at(rule, NOON + SECOND)
    with monkeypatch.context() as patched:

        async def fail(*_):
            raise Unavailable("it takes too long")

        patched.setattr(conditions, "met", fail)
        with pytest.raises(Unavailable):
            await evaluation.evaluate(pool, Reader(pool), rule, NOON + 2 * MINUTE)
    (found,) = await alert_history.rules(pool)

    assert ("it takes too long", ["firing"]) == (found.error, [a.state for a in found.alerts])
    assert ([], []) == await alerting.at(rule, NOON + 3 * MINUTE)


async def test_it_is_told_again_and_forgotten_with_the_rule(pool, alerting):
    """
    What fires for long is told again, and is resolved when the rule is taken out.
    """
    await store(pool, record(timestamp=NOON))
    rule = made({"repeat": 30}, count={"above": 0})
    for second in (1, 11, 21, 31):
        await alerting.at(rule, NOON + second * SECOND)
    await alert_history.forget(pool, NOON + DAY)
    told = await alerting.told(NOON + MINUTE)

    assert [("a", [("firing", "")])] * 2 == told
    later = NOON + 2 * alerts.UNSEEN
    assert [] == await alerts.retire(pool, ["other"], NOON + MINUTE)
    assert [] == await alerts.retire(pool, ["r"], later)
    assert ["r"] == await alerts.retire(pool, ["other"], later)
    assert [("a", [("resolved", "")])] == await alerting.told(later)
    assert [("resolved", "", False)] == await alerting.history()


async def test_what_another_collector_has_is_left_to_it(pool, alerting):
    """
    A collector sends nothing for notifiers that it lacks; what nobody sends is given up at last.
    """
    await store(pool, record(timestamp=NOON))
    await alerting.at(made(count={"above": 0}, notify=["b"]), NOON + SECOND)
    some = await notifications.claim(pool, NOON + DAY, notifiers="a", lease=MINUTE, most=9)
    others = configured({"count": {"above": 0}}, give_up_after=60)
    for now in (NOON + 60 * MINUTE, NOON + 62 * MINUTE):
        before = await notifications.waiting(pool)
        await tidying(others, pool, lambda now=now: now).do()

    assert [] == some
    assert ["b"] == [each.notifier for each in before]
    assert [] == await notifications.waiting(pool)


async def test_a_notification_arrives_in_the_end(pool):
    """
    What a receiver doesn't take is sent again, later and later, with the same id; what nobody
    takes for long is given up, and nothing is held up by it.
    """
    clock = [NOON + SECOND]
    await store(pool, record(timestamp=NOON))
    replies = [Reply(503, b"s3cret away"), Reply(200)]
    async with scripted(lambda _: replies.pop(0)) as server:
        rules = ({"count": {"above": 0}}, {"name": "gone", "count": {"above": 0}, "notify": ["b"]})
        settings = configured(*rules, url=f"{server.url}/hook", give_up_after=60)
        nobody = {"webhook": {**settings.notifiers.webhook}}
        nobody["webhook"]["b"] = msgspec.structs.replace(
            nobody["webhook"]["b"], url="http://127.0.0.1:1/s3cret"
        )
        config = msgspec.structs.replace(
            settings, notifiers=msgspec.structs.replace(settings.notifiers, **nobody)
        )
        watch = Watch(config, pool, Reader(pool), lambda: clock[0])
        await watch.evaluate()
        await watch.deliver()
        errors = [each.error for each in await notifications.waiting(pool)]
        clock[0] += 4 * SECOND
        await watch.deliver()
        assert 1 == len(server.requests)
        clock[0] += SECOND
        await watch.deliver()
        clock[0] += MINUTE
        await watch.deliver()
        bodies = [msgspec.json.decode(each.body) for each in server.requests]

    assert "HTTP 503: s3cret away" == errors[0]
    assert "s3cret" not in errors[1]
    assert 2 == len(bodies)
    assert bodies[0] == bodies[1]
    assert bodies[0]["id"] == server.requests[1].headers["Idempotency-Key"]
    assert [] == await notifications.waiting(pool)
    assert "given_up" in {
        row[0] for row in await pool.fetch("SELECT state FROM alert_notifications")
    }


async def test_over_http(pool, alerting, capsys):
    """
    The API and the command tell what fires and what did, and silence it; what is no silence is
    refused with the parameter's name.
    """
    now = dt.datetime.now(dt.UTC)
    await store(pool, record(timestamp=now - SECOND))
    await alerting.at(made(count={"above": 0}, by="service"), now)
    api = Api(endpoint="127.0.0.1:0")
    offered = routes(pool, ["r", "other"], lambda: dt.datetime.now(dt.UTC))
    listening = server.listening(
        [server.Listener(api, offered)], InFlight(1_000), shutdown_timeout=2
    )
    async with listening as (url,):

        async def run(*arguments):
            code = await asyncio.to_thread(cli.main, ["alerts", *arguments, "--url", url])
            found = capsys.readouterr()
            return code, found.out + found.err

        silence = await run("silence", "service=a*", "alertname=r", "--for", "2h")
        status = await run("status")
        assert (0, True) == (silence[0], "service=a* alertname=r" in silence[1])
        assert "r api is firing since" in status[1]
        assert ", silenced: 1 record in 1 minute, more than 0" in status[1]
        assert "1 notifications wait for a since" in status[1]
        assert "firing   r api: 1 record" in (await run("history", "--rule", "r"))[1]
        assert "nothing has fired\n" == (await run("history", "--rule", "other"))[1]
        number = msgspec.json.decode((await run("silences", "--json"))[1])["silences"][0]["id"]
        assert f"silence {number} has ended\n" in (await run("unsilence", str(number)))[1]
        assert (2, f"pixsim-collector: no silence {number} holds\n") == await run(
            "unsilence", str(number)
        )
        for wrong in (
            ["service"],
            ["=a"],
            ["a=b", "--for", "2y"],
            ["a=b", "--until", "then"],
        ):
            code, told = await run("silence", *wrong)
            assert (2, True) == (code, "Input should be" in told)
        over = await run("silence", "a=b", "--until", "2001-01-01")
        assert (2, "pixsim-collector: until is over: 2001-01-01T00:00:00+00:00\n") == over
