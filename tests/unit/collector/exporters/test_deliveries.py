"""Batches sent to strict servers over real sockets, until all of each is settled."""

from __future__ import annotations

import asyncio

import pytest

from collector.exporters import datadog, elasticsearch, loki, splunk_hec, victorialogs
from collector.forwarding.settings import RetryOnFailure
from collector.forwarding.settlement import Settlement, Stopped
from tests.scripted import CUT, GARBAGE, Reply
from tests.targets import strict
from tests.targets.datadog import Datadog
from tests.targets.elasticsearch import Elasticsearch
from tests.targets.loki import Loki
from tests.targets.records import NOW, stored
from tests.targets.splunk_hec import CHANNEL, SplunkHec
from tests.targets.strict import serving
from tests.targets.victorialogs import VictoriaLogs

SOON = RetryOnFailure(initial_interval=0.001, max_interval=0.002)


def clock():
    return NOW


TARGETS = {
    "elasticsearch": lambda url: elasticsearch.target(
        elasticsearch.Elasticsearch(endpoint=url, user="me", password="x")
    ),
    "splunk_hec": lambda url: splunk_hec.target(
        splunk_hec.SplunkHec(endpoint=url, token="t0ken", compression="zstd")
    ),
    "datadog": lambda url: datadog.target(datadog.Datadog(endpoint=url, api_key="k3y")),
    "loki": lambda url: loki.target(loki.Loki(endpoint=url, tenant_id="team")),
    "victorialogs": lambda url: victorialogs.target(
        victorialogs.VictoriaLogs(endpoint=url, compression="none")
    ),
}
SERVERS = {
    "elasticsearch": Elasticsearch,
    "splunk_hec": SplunkHec,
    "datadog": Datadog,
    "loki": lambda *script: Loki(*script, tenant="team"),
    "victorialogs": VictoriaLogs,
}
REASONS = {
    "elasticsearch": ("document_parsing_exception: failed to parse field [x] of type [long].", 400),
    "splunk_hec": ("code 6: HTTP 400: Invalid data format", 400),
    "datadog": ('HTTP 400: {"errors":[{"title":"Bad Request"}]}', 400),
    "loki": ("HTTP 400: entry for stream has a problem", 400),
    "victorialogs": ("HTTP 400: cannot parse line", 400),
}


def batch(count, poisoned=()):
    return [
        stored(id=place, msg=f"{place} {strict.POISON if place in poisoned else 'good'}")
        for place in range(count)
    ]


async def settled(name, server, records, settings=SOON):
    async with serving(server) as there:
        target = TARGETS[name](there.url)
        try:
            return await Settlement(name, target, settings).settle(records)
        finally:
            await target.close()


def arrived(name, server):
    """Give the numbers of the records that a server has, in order."""
    texts = {
        "elasticsearch": lambda item: item["message"],
        "splunk_hec": lambda item: item["event"],
        "datadog": lambda item: item["message"],
        "loki": lambda item: item[2],
        "victorialogs": lambda item: item["_msg"],
    }
    return sorted(int(texts[name](item).split()[0]) for item in server.taken)


@pytest.mark.parametrize("name", TARGETS)
async def test_one_bad_record_among_many(name):
    """
    What a destination refuses is known by its reason; all the rest arrives, each once. Only
    the one before it may be in Splunk more often.
    """
    server = SERVERS[name]()

    found = await settled(name, server, batch(200, poisoned={77}))

    assert [(77, *REASONS[name])] == [
        (letter.record.record.id, letter.reason, letter.status) for letter in found.letters
    ]
    assert 199 == found.sent
    there = arrived(name, server)
    if name == "splunk_hec":
        there = there[:76] + there[75 + there.count(76) :]
    assert [place for place in range(200) if place != 77] == there


@pytest.mark.parametrize("name", TARGETS)
async def test_trouble_passes(name):
    """
    A destination that is away, slow, confused or full gets all records when it is well again.
    """
    trouble = [CUT, GARBAGE, Reply(429, b"", {"Retry-After": "0"}), Reply(500), Reply(503)]
    server = SERVERS[name](*trouble, Reply(413), None, Reply(502))

    found = await settled(name, server, batch(20))

    assert (20, []) == (found.sent, found.letters)
    assert list(range(20)) == arrived(name, server)


@pytest.mark.parametrize("name", TARGETS)
async def test_a_record_that_a_server_breaks_at(name):
    """
    A record at which a server fails each time is a dead letter, and all others arrive, once each.
    """
    server, others = SERVERS[name](), iter(range(64, 100))
    records = batch(64)
    records[17] = stored(id=17, msg=f"17 {strict.BREAKER}")

    async with serving(server) as there:
        target = TARGETS[name](there.url)
        settlement = Settlement(name, target, SOON)
        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            found = await settlement.settle(
                records,
                lambda: tasks.create_task(settlement.settle([stored(msg=f"{next(others)} good")])),
            )
        await target.close()

    assert [17] == [letter.record.record.id for letter in found.letters]
    assert 63 == found.sent
    assert [*range(17), *range(18, next(others))] == arrived(name, server)


@pytest.mark.parametrize("name", TARGETS)
async def test_nobody_dead_letters_the_world_because_a_token_expired(name):
    """
    A destination that knows us no more stops, and no record is to blame.
    """
    with pytest.raises(Stopped, match="HTTP 401"):
        await settled(name, SERVERS[name](Reply(401, b"expired")), batch(3))


@pytest.mark.parametrize("counts_from", [0, 1])
async def test_splunk_however_it_counts(counts_from):
    """
    Several bad events are found wherever they are, whether Splunk counts from 0 or from 1, and
    all others are there.
    """
    server = SplunkHec(counts_from=counts_from)
    poisoned = {0, 1, 5, 6, 29}

    found = await settled("splunk_hec", server, batch(30, poisoned))

    assert poisoned == {letter.record.record.id for letter in found.letters}
    assert {*range(30)} - poisoned == {*arrived("splunk_hec", server)}


@pytest.mark.parametrize(
    ("acknowledges", "answers", "requests"),
    [
        pytest.param([3], [], 4, id="after a while"),
        pytest.param([2], [None, CUT, Reply(503), Reply(500), GARBAGE], 7, id="through trouble"),
    ],
)
async def test_splunk_has_what_it_acknowledges(acknowledges, answers, requests):
    """
    With indexer acknowledgement a batch counts as sent when Splunk says that it is indexed, and
    is not sent again while that is open, whatever becomes of the questions.
    """
    server = SplunkHec(*answers, acknowledges=acknowledges)

    found = await acknowledged(server, 30)

    assert (20, []) == (found.sent, found.letters)
    assert list(range(20)) == arrived("splunk_hec", server)
    assert requests == server.requests


async def test_what_splunk_does_not_acknowledge_is_sent_again():
    """
    A batch that is not acknowledged in time is lost for all we know, and is sent again.
    """
    retried = []
    server = SplunkHec(acknowledges=[None, 1])

    found = await acknowledged(server, 0.05, retried=lambda *told: retried.append(told))

    assert (20, []) == (found.sent, found.letters)
    assert list(range(20)) == arrived("splunk_hec", server)
    assert 2 == len(server.waiting)
    [(records, reason)] = retried
    assert 20 == records
    assert reason.startswith("not acknowledged within 0.05 s: HTTP 200: ")


async def test_splunk_that_acknowledges_nothing_stops():
    """
    Where a token has no indexer acknowledgement after all, somebody has to mend the settings.
    """
    disabled = Reply(400, b'{"text":"ACK is disabled","code":14}')

    with pytest.raises(Stopped, match="code 14: HTTP 400: ACK is disabled"):
        await acknowledged(SplunkHec(None, disabled, acknowledges=[1]), 30)


async def acknowledged(server, ack_timeout, **options):
    async with serving(server) as there:
        config = splunk_hec.SplunkHec(
            endpoint=there.url, token="t0ken", channel=CHANNEL, ack_timeout=ack_timeout
        )
        target = splunk_hec.target(config, asked_every=0.001)
        try:
            settlement = Settlement("splunk_hec", target, SOON, **options)
            async with asyncio.timeout(10):
                return await settlement.settle(batch(20))
        finally:
            await target.close()


async def test_elasticsearch_has_nothing_twice():
    """
    Documents that Elasticsearch has are not there twice, however often they are sent.
    """
    server = Elasticsearch(items={"3 good": 429, "4 good": 503})
    records = batch(10)

    first = await settled("elasticsearch", server, records)
    again = await settled("elasticsearch", server, records)

    assert (10, 10) == (first.sent, again.sent)
    assert list(range(10)) == arrived("elasticsearch", server)
    assert 3 == server.requests


async def test_loki_has_nothing_twice():
    """
    An entry that Loki has stays one, for all that is sent again is as it was.
    """
    server = Loki(None, CUT, tenant="team")
    records = [stored(id=place, msg="the same") for place in range(10)]

    await settled("loki", server, records)
    await settled("loki", server, records)

    assert 10 == len(server.taken)
