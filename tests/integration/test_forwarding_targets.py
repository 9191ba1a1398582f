"""Records on their way to a destination of each kind, through a real database."""

from __future__ import annotations

import asyncio
import datetime as dt
import re
from contextlib import AsyncExitStack

import pytest

from collector.exporters import datadog, elasticsearch, loki, splunk_hec, victorialogs
from collector.forwarding import delivery, feed, tenure
from collector.forwarding.forwarders import forwarding
from collector.forwarding.settings import Batch, RetryOnFailure
from storage import destinations
from tests.builders import record
from tests.stored import store
from tests.targets.datadog import Datadog
from tests.targets.elasticsearch import Elasticsearch
from tests.targets.loki import Loki
from tests.targets.splunk_hec import SplunkHec
from tests.targets.strict import POISON, serving
from tests.targets.victorialogs import VictoriaLogs

BAD, TOO_LARGE = 17, 31
COMMON = {
    "start_at": "beginning",
    "batch": Batch(max_records=50, timeout=0.01),
    "retry_on_failure": RetryOnFailure(initial_interval=0.01, max_interval=0.02),
}
KINDS = {
    "elasticsearch": (Elasticsearch, elasticsearch.Elasticsearch, {}, 1),
    "splunk_hec": (SplunkHec, splunk_hec.SplunkHec, {"token": "t0ken"}, 1),
    "datadog": (Datadog, datadog.Datadog, {"api_key": "k3y"}, 2),
    "loki": (Loki, loki.Loki, {}, 2),
    "victorialogs": (VictoriaLogs, victorialogs.VictoriaLogs, {}, 2),
}


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """What is done every second or more is done at once."""
    monkeypatch.setattr(tenure, "WATCH", 0.05)
    monkeypatch.setattr(delivery, "CLAIM", 0.05)
    monkeypatch.setattr(feed, "POLL", 0.05)


async def test_all_but_what_is_refused(database, pool):
    """
    Five destinations get everything but what each will not take; that is a dead letter of its
    own, with the reason. What is too old for a destination is skipped, and counted.
    """
    now = dt.datetime.now(dt.UTC)
    texts = {number: f"{number} fine" for number in range(120)}
    texts[BAD] = f"{BAD} {POISON}"
    texts[TOO_LARGE] = f"{TOO_LARGE} " + "x" * 1_000_000
    records = [
        record(msg=text, timestamp=now - dt.timedelta(minutes=number), severity_number=9)
        for number, text in texts.items()
    ]
    await store(pool, *records, record(msg="999 old", timestamp=now - dt.timedelta(days=8)))

    servers, settings = {}, {}
    async with AsyncExitStack() as stack:
        for name, (server, kind, more, _) in KINDS.items():
            servers[name] = server()
            there = await stack.enter_async_context(serving(servers[name]))
            settings[name] = kind(endpoint=there.url, **COMMON, **more)
        async with forwarding(settings, database), asyncio.timeout(30):
            while True:
                rows = {each.name: each for each in await destinations.status(pool)}
                settled = {n: r.sent + r.dead + r.skipped for n, r in rows.items()}
                if settled == dict.fromkeys(KINDS, 121):
                    break
                await asyncio.sleep(0.02)

    for name, (_, _, _, dead) in KINDS.items():
        old = 0 if name in {"elasticsearch", "splunk_hec"} else 1
        assert (dead, old) == (rows[name].dead, rows[name].skipped), name
        left_out = {BAD} if dead == 1 else {BAD, TOO_LARGE}
        first_word = [int(text.split()[0]) for text in map(_text, servers[name].taken)]
        expected = ({*range(120)} - left_out) | ({999} if not old else set())
        assert expected == set(first_word), name
        if name != "splunk_hec":
            assert len(expected) == len(first_word), name
    letters = await pool.fetch("SELECT destination, reason FROM dead_letters ORDER BY 1, 2")
    assert [
        ("datadog", "1 MB, the most is 1000000"),
        ("datadog", 'HTTP 400: {"errors":[{"title":"Bad Request"}]}'),
        ("elasticsearch", "document_parsing_exception: failed to parse field [x] of type [long]."),
        ("loki", "1 MB of text, the most is 262144"),
        ("loki", "HTTP 400: entry for stream has a problem"),
        ("splunk_hec", "code 6: HTTP 400: Invalid data format"),
        ("victorialogs", "1 MB, the most is 262143"),
        ("victorialogs", "HTTP 400: cannot parse line"),
    ] == [(name, re.sub(r"^1000\d+ bytes", "1 MB", reason)) for name, reason in letters]


def _text(item):
    return (
        item[2]
        if isinstance(item, tuple)
        else item.get("message") or item.get("event") or item["_msg"]
    )
