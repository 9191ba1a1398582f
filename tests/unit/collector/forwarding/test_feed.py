"""Records on their way: batches, the order in which they are recorded, and where it goes on."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import random
import types

import pytest

from collector.forwarding.feed import Feed
from collector.forwarding.pace import Courtesy
from collector.forwarding.settings import Batch, Forwarder, RetryOnFailure
from collector.forwarding.settlement import Settlement, Stopped
from collector.forwarding.target import Bad, Done, Refused, Retry, Split, Stop
from storage.errors import Unavailable
from storage.moments import moment
from tests.waiting import until_async

NOW = dt.datetime.now(dt.UTC)


class Table:
    """Stands in for the follower: records are numbers, and a position is how many were read."""

    def __init__(self, records=()):
        self.rows = list(records)
        self.reads = []

    async def stored(self, position, _search, *, records, upto=None, **_):
        await asyncio.sleep(0)
        end = min(position + records, upto or len(self.rows))
        self.reads.append(position)
        return types.SimpleNamespace(
            rows=self.rows[position:end],
            position=end,
            passed=end - position,
            gone=0,
            more=end < (upto or len(self.rows)),
        )


class Ledger:
    """Keeps what is recorded."""

    def __init__(self):
        self.position = 0
        self.outcomes = []
        self.letters = []

    async def record(self, outcome):
        assert outcome.position >= self.position
        self.position = outcome.position
        self.outcomes.append(outcome)
        self.letters += [letter.record for letter in outcome.letters]

    def total(self, name):
        return sum(getattr(outcome, name) for outcome in self.outcomes)


class Destination:
    """Answers as *rule* says; keeps what it took."""

    def __init__(self, rule=lambda *_: Done()):
        self.rule = rule
        self.batches = []
        self.taken = []
        self.under_way = self.most_under_way = 0

    async def send(self, records):
        self.batches.append(list(records))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            answer = self.rule(records)
            if asyncio.iscoroutine(answer):
                answer = await answer
        finally:
            self.under_way -= 1
        if isinstance(answer, Done):
            left = {*answer.retry, *(each.index for each in answer.refused)}
            self.taken += [record for n, record in enumerate(records) if n not in left]
        return answer

    async def close(self):
        pass


def settings(**changes):
    retry = RetryOnFailure(initial_interval=0.001, max_interval=0.002)
    batch = Batch(max_records=10, timeout=0.001)
    return Forwarder(**{"batch": batch, "retry_on_failure": retry, "concurrency": 3, **changes})


def feed(table, destination, ledger, *, upto=None, **changes):
    config = settings(**changes)
    settlement = Settlement("there", destination, config.retry_on_failure)
    return Feed(
        config,
        table,
        settlement,
        ledger.record,
        woken,
        Courtesy(),
        position=ledger.position,
        upto=upto,
    )


async def woken(_seconds):
    await asyncio.sleep(0.001)
    return True


async def test_records_go_in_batches_and_the_position_follows():
    """
    Records go in batches of at most max_records; when all are sent the position is behind them.
    """
    table, destination, ledger = Table(range(95)), Destination(), Ledger()

    await feed(table, destination, ledger, upto=95).run()

    assert [10] * 9 + [5] == [len(batch) for batch in destination.batches]
    assert (95, 95) == (ledger.position, ledger.total("sent"))


async def test_at_most_concurrency_batches_are_under_way():
    """
    As many batches as concurrency says are under way at once, and none beyond, even while the
    first of them is late: what is unrecorded stays bounded.
    """
    gate = asyncio.Event()

    async def rule(records):
        await (gate.wait() if 0 in records else asyncio.sleep(0))
        return Done()

    table, destination, ledger = Table(range(95)), Destination(rule), Ledger()
    running = asyncio.create_task(feed(table, destination, ledger, upto=95).run())
    await asyncio.sleep(0.05)

    assert 3 == len(destination.batches)
    assert (0, []) == (ledger.position, ledger.outcomes)
    gate.set()
    await running
    assert destination.most_under_way <= 3
    assert 95 == ledger.position


async def test_the_next_batch_is_read_before_there_is_room_for_it():
    """
    While as many batches are under way as may be, one more is read and waits; where all ends before
    there is room for it, it is not sent, and the position is before it.
    """
    gate = asyncio.Event()

    async def rule(_records):
        await gate.wait()
        return Done()

    async def read():
        return len(table.reads) == 4 and len(destination.batches) == 3

    table, destination, ledger = Table(range(95)), Destination(rule), Ledger()
    live = feed(table, destination, ledger)
    running = asyncio.create_task(live.run())
    await until_async(read)
    await asyncio.sleep(0.01)

    assert [0, 10, 20, 30] == table.reads
    live.end()
    gate.set()
    await running
    assert 30 == ledger.position == len(destination.taken)


async def test_what_follows_a_late_batch_is_recorded_with_it():
    """
    The position never passes a batch that isn't settled; those behind it, settled meanwhile, are
    recorded together with it.
    """

    async def rule(records):
        await asyncio.sleep(0.05 if 0 in records else 0)
        return Done()

    table, destination, ledger = Table(range(30)), Destination(rule), Ledger()
    await feed(table, destination, ledger, upto=30).run()

    assert [30] == [outcome.position for outcome in ledger.outcomes]
    assert 30 == ledger.total("sent")


async def test_a_stop_loses_nothing_and_records_what_was_before():
    """
    Where a destination stops, what was settled before is recorded, and nothing after.
    """
    table, ledger = Table(range(100)), Ledger()
    destination = Destination(lambda records: Stop("HTTP 401") if 55 in records else Done())

    with pytest.raises(Stopped, match="HTTP 401"):
        await feed(table, destination, ledger, upto=100).run()

    assert 50 == ledger.position
    assert [] == ledger.letters


async def test_an_outcome_that_cannot_be_recorded_ends_it():
    """
    While the database is away nothing more is sent: it couldn't be remembered.
    """

    async def record(_outcome):
        raise Unavailable("away")

    table, destination, ledger = Table(range(1000)), Destination(), Ledger()
    ledger.record = record

    with pytest.raises(Unavailable):
        await feed(table, destination, ledger, upto=1000).run()
    assert len(destination.batches) <= 6


async def test_new_records_are_waited_for_and_go_together():
    """
    At the table's end new records are waited for, and those that come within the batch's timeout
    go as one batch.
    """
    table, destination, ledger = Table(), Destination(), Ledger()
    live = feed(table, destination, ledger, batch=Batch(max_records=10, timeout=0.1))
    running = asyncio.create_task(live.run())
    for n in range(5):
        await asyncio.sleep(0.005)
        table.rows.append(n)
    async with asyncio.timeout(5):
        while ledger.position < 5:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    live.end()
    await asyncio.wait_for(running, 1)

    assert [[0, 1, 2, 3, 4]] == destination.batches


async def test_told_to_end_it_records_what_is_under_way():
    """
    Told to end, it begins no more batches, and waits for those that are under way.
    """
    table, ledger = Table(range(1000)), Ledger()

    async def rule(_records):
        await asyncio.sleep(0.02)
        return Done()

    destination = Destination(rule)
    live = feed(table, destination, ledger)
    running = asyncio.create_task(live.run())
    await asyncio.sleep(0.01)
    live.end()
    await asyncio.wait_for(running, 1)

    assert 30 == ledger.position == len(destination.taken)


@pytest.mark.parametrize(
    ("too_old", "expected"),
    [("skip", (3, 1, [])), ("dead_letter", (3, 0, [1])), ("send", (4, 0, []))],
)
async def test_what_is_too_old_is_counted(too_old, expected):
    """
    Records older than max_age are skipped and counted, or dead letters, or sent all the same.
    """
    rows = [
        types.SimpleNamespace(
            record=types.SimpleNamespace(timestamp=moment(NOW - dt.timedelta(hours=hours)))
        )
        for hours in (0, 48, 1, 2)
    ]
    table, destination, ledger = Table(rows), Destination(), Ledger()
    await feed(table, destination, ledger, upto=4, max_age=86400, too_old=too_old).run()

    letters = [rows.index(each) for each in ledger.letters]
    assert expected == (ledger.total("sent"), ledger.total("skipped"), letters)


async def test_a_record_that_makes_a_destination_fail_holds_nobody_up():
    """
    A record that is answered 500 for ever is a dead letter in the end, although only one batch may
    be under way at once: others are sent meanwhile, no more than one for each of its tries.
    """

    def rule(records):
        return Retry("HTTP 500", status=500) if 5 in records else Done()

    table, destination, ledger = Table(range(1000)), Destination(rule), Ledger()
    async with asyncio.timeout(10):
        await feed(table, destination, ledger, upto=1000, concurrency=1).run()

    assert [5] == ledger.letters
    assert [n for n in range(1000) if n != 5] == sorted(destination.taken)
    after = len(destination.batches) - 1 - destination.batches[::-1].index([5])
    assert sum(map(len, destination.batches[:after])) < 400


@pytest.mark.parametrize("seed", range(25))
async def test_whatever_fails_and_whenever_it_ends_no_record_is_missing(seed):
    """
    However a destination answers, and however often the sender is killed and begins again at the
    recorded position: each record is taken at least once or is a dead letter, and before the
    recorded position there is none that is neither.
    """
    chance = random.Random(seed)
    total = chance.randrange(1, 200)
    bad = {n for n in range(total) if chance.random() < 0.02}
    table, ledger = Table(range(total)), Ledger()

    async def rule(records):
        await asyncio.sleep(chance.choice((0, 0, 0.001, 0.003)))
        answer = chance.choice([Retry("busy"), Split("large"), Done(), Done(), Done()])
        if isinstance(answer, Split) and len(records) == 1:
            answer = Done()
        if bad & set(records) and isinstance(answer, Done):
            if chance.random() < 0.5:
                return Bad("bad", 400)
            places = [n for n, record in enumerate(records) if record in bad]
            left = [n for n in range(len(records)) if n not in places and chance.random() < 0.2]
            return Done(refused=tuple(Refused(n, "bad") for n in places), retry=tuple(left))
        return answer

    destination = Destination(rule)
    async with asyncio.timeout(30):
        while ledger.position < total:
            running = asyncio.create_task(feed(table, destination, ledger, upto=total).run())
            with contextlib.suppress(TimeoutError, asyncio.CancelledError):
                await asyncio.wait_for(running, chance.choice((0.002, 0.01, 0.05, 1)))
            settled = {*destination.taken, *ledger.letters}
            assert settled >= set(range(ledger.position))

    assert {*destination.taken} >= set(range(total)) - bad
    assert bad == set(ledger.letters)
    assert total == ledger.total("sent") + len(ledger.letters)
