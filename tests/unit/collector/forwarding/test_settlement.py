"""Sending a batch until each record is taken, refused for good, or given up."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from collector.forwarding.settings import RetryOnFailure
from collector.forwarding.settlement import MOST_DENIED, Backoff, Settlement, Stopped
from collector.forwarding.target import Bad, Done, Refused, Retry, Split, Stop

QUICK = RetryOnFailure(initial_interval=0.001, max_interval=0.002)


class Destination:
    """Answers as *rule* says; keeps what it took."""

    def __init__(self, rule):
        self.rule = rule
        self.batches = []
        self.taken = []

    async def send(self, records):
        self.batches.append(list(records))
        answer = self.rule(records, len(self.batches))
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Done):
            left = {*answer.retry, *(each.index for each in answer.refused)}
            self.taken += [record for n, record in enumerate(records) if n not in left]
        return answer

    async def close(self):
        pass


async def settled(rule, records=range(8), settings=QUICK, **options):
    destination = Destination(rule)
    settlement = Settlement("there", destination, settings, **options)
    found = await asyncio.wait_for(settlement.settle(list(records)), 10)
    return found, destination


def letters(found):
    return [(letter.record, letter.reason, letter.status) for letter in found.letters]


async def test_a_batch_that_is_taken_is_sent_once():
    """
    A destination that takes a batch gets it once, whole and in order.
    """
    found, destination = await settled(lambda *_: Done())

    assert [list(range(8))] == destination.batches
    assert (8, 0, []) == (found.sent, found.rejected, found.letters)


async def test_what_fails_is_sent_again_until_it_is_taken():
    """
    A failure that may pass, and a bug of a target's, settle nothing: the same is sent again.
    """
    failures = {1: Retry("away"), 2: ValueError("bug"), 3: Retry("busy", after=0.001)}
    found, destination = await settled(lambda _, n: failures.get(n, Done()))

    assert [list(range(8))] * 4 == destination.batches
    assert 8 == found.sent


async def test_what_fails_again_and_again_is_sent_in_smaller_parts():
    """
    Where a destination cuts the connection instead of saying that a batch is too large, it is
    sent in parts, but not in as many as there are records.
    """
    found, destination = await settled(
        lambda records, _: Done() if len(records) <= 8 else Retry("connection reset"), range(64)
    )

    assert 64 == found.sent
    assert 8 == min(map(len, destination.batches))
    assert sorted(destination.taken) == list(range(64))


async def test_what_is_given_up_is_a_dead_letter():
    """
    After max_elapsed_time each record is a dead letter that says why, and for how long it was
    tried.
    """
    settings = RetryOnFailure(initial_interval=0.01, max_interval=0.01, max_elapsed_time=0.03)
    found, destination = await settled(lambda *_: Retry("HTTP 503"), range(2), settings)

    assert len(destination.batches) > 1
    assert 0 == found.sent
    assert [
        (0, "given up after 0 s: HTTP 503", None),
        (1, "given up after 0 s: HTTP 503", None),
    ] == (letters(found))


@pytest.mark.parametrize("bad", [{0}, {7}, {3, 4}, {0, 2, 4, 6}, set(range(7))])
@pytest.mark.parametrize("size", [8, 500])
async def test_bad_records_cost_no_good_ones(bad, size):
    """
    A batch that is refused is halved until the bad records are found; all others are taken,
    once each, and the bad ones are dead letters with what was said of them.
    """
    found, destination = await settled(
        lambda records, _: Bad("HTTP 400: no", 400) if bad & set(records) else Done(), range(size)
    )

    assert size - len(bad) == found.sent
    assert sorted(destination.taken) == [n for n in range(size) if n not in bad]
    assert sorted(letters(found)) == [(n, "HTTP 400: no", 400) for n in sorted(bad)]


async def test_a_batch_that_is_too_large_is_halved():
    """
    What is too large together is sent in parts; one record that is too large alone is a dead
    letter.
    """
    size = dict.fromkeys(range(50), 1) | {20: 100}
    found, destination = await settled(
        lambda records, _: Split("HTTP 413") if sum(map(size.get, records)) > 10 else Done(),
        range(50),
    )

    assert sorted(destination.taken) == [n for n in range(50) if n != 20]
    assert [(20, "HTTP 413", 413)] == letters(found)
    assert 49 == found.sent


async def test_what_is_refused_or_to_be_sent_again_is_told_record_by_record():
    """
    Of a batch that is taken in part, the refused are dead letters, and only those that may yet
    be taken are sent again.
    """
    retried = []

    def rule(records, n):
        if n == 1:
            return Done(refused=(Refused(1, "mapping", 400),), retry=(3, 5), note="HTTP 429")
        return Done()

    found, destination = await settled(rule, retried=lambda *told: retried.append(told))

    assert [list(range(8)), [3, 5]] == destination.batches
    assert [(1, "mapping", 400)] == letters(found)
    assert 7 == found.sent
    assert [(2, "HTTP 429")] == retried


async def test_what_was_rejected_is_counted_and_not_sent_again():
    """
    Where a destination says how many it rejected and not which, that is counted, and nothing is
    sent again.
    """
    found, destination = await settled(lambda *_: Done(rejected=3, note="too long"))

    assert 1 == len(destination.batches)
    assert (5, 3) == (found.sent, found.rejected)


async def test_a_warning_is_told():
    """
    What a destination says where it has taken everything is for the operator.
    """
    with capture_logs() as told:
        found, _ = await settled(lambda *_: Done(note="use v2"))

    assert (8, 0) == (found.sent, found.rejected)
    assert [("forwarding_warned", "use v2")] == [(e["event"], e["reason"]) for e in told]


async def test_a_stop_ends_it():
    """
    A destination whose settings are wrong gets nothing more, and no record is given up.
    """
    with pytest.raises(Stopped, match="HTTP 401"):
        await settled(lambda *_: Stop("HTTP 401"))


async def test_who_alone_fails_while_others_are_taken_is_a_dead_letter():
    """
    Records that a destination answers 500 for ever are singled out, and become dead letters
    after as many tries as the settings say, between which others were taken. These are taken once.
    """
    bad = {3, 40, 41}

    def rule(records, _):
        return Retry("HTTP 500: oh", status=500) if bad & {*records} else Done()

    destination = Destination(rule)
    settlement = Settlement("there", destination, QUICK)
    more = iter(range(100, 1000))
    tasks = []

    def suspected():
        tasks.append(asyncio.create_task(settlement.settle([next(more)])))

    async with asyncio.timeout(10):
        found = await settlement.settle(range(64), suspected)
        await asyncio.gather(*tasks)

    assert sorted(letters(found)) == [
        (n, "HTTP 500: oh (10 times, while others were taken)", 500) for n in sorted(bad)
    ]
    assert 61 == found.sent
    assert len(destination.taken) == len({*destination.taken}) == 61 + len(tasks)
    assert all(destination.batches.count([n]) >= 10 for n in bad)
    assert len(tasks) <= 3 * 11


@pytest.mark.parametrize(
    ("most", "status", "others"),
    [
        pytest.param(10, 500, False, id="nothing else is taken"),
        pytest.param(10, None, True, id="an answer that blames no record, such as 503"),
        pytest.param(0, 500, True, id="the settings say never"),
    ],
)
async def test_nobody_is_blamed_for_a_destination_that_is_down(most, status, others):
    """
    While nothing is taken, or a server says that it is away, no record is a dead letter, however
    often it fails; nor where the settings say so.
    """
    settings = RetryOnFailure(
        initial_interval=0.0001, max_interval=0.0001, max_record_failures=most
    )
    answers = {"down": Retry("HTTP 5xx", status=status), "up": Done()}
    state = "down"
    destination = Destination(lambda records, _: answers["up" if 9 in records else state])
    settlement = Settlement("there", destination, settings)
    settling = asyncio.create_task(settlement.settle([1, 2]))

    while len(destination.batches) < 120:
        if others:
            await settlement.settle([9])
        await asyncio.sleep(0.001)
    state = "up"

    assert (2, []) == ((found := await settling).sent, found.letters)


async def test_a_destination_that_refuses_everything_is_stopped():
    """
    Where all of a batch is refused, part by part, the records are not to blame: after a few
    requests the destination is stopped, and none of them is a dead letter.
    """
    destination = Destination(lambda *_: Bad("HTTP 400: no such field", 400))
    settlement = Settlement("there", destination, QUICK)

    with pytest.raises(Stopped, match="no such field"):
        await settlement.settle(range(1000))

    assert MOST_DENIED == len(destination.batches)


async def test_the_wait_grows_and_is_shared():
    """
    Each failure makes the wait longer, up to its most; a destination that says how long is
    waited for as long; several batches that fail together count as one; success begins anew.
    """
    now = 100.0
    settings = RetryOnFailure(initial_interval=3, multiplier=2, max_interval=12)
    backoff = Backoff(settings, lambda: now)

    def failed(after=None):
        nonlocal now
        backoff.failed(after)
        backoff.failed(None)
        seconds, now = backoff._until - now, backoff._until
        return seconds

    for interval in (3, 6, 12, 12):
        assert interval * 2 / 3 <= failed() <= interval * 4 / 3
    assert 60 == failed(60)
    assert 3600 == failed(1e9)
    backoff.succeeded()
    assert failed() <= 4
