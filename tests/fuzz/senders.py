"""Wild bodies to both receivers of a collector, over sockets, with a good one now and then."""

from __future__ import annotations

import gzip
import random
import time
import uuid
import zlib
from collections import Counter

import hypothesis
import psycopg
import requests
from hypothesis import strategies as st

from tests.e2e.protocols import PROTOCOLS, NativeBatch, OtlpJson
from tests.e2e.test_bad_input import NATIVE_FIELDS, OTLP_FIELDS, json_text, json_value
from tests.fuzz import mutations
from tests.fuzz.findings import settings

EXPECTED = {200, 400, 413, 415, 422, 503}  # 503: the machine has too much to do
GOOD = 25  # bodies, after which a good one follows

SEEDS = mutations.seeds()
EVERYTHING = [body for each in SEEDS.values() for body in each]
COMPRESSIONS = {"gzip": gzip.compress, "deflate": zlib.compress}
FIELDS = {NativeBatch: NATIVE_FIELDS, OtlpJson: OTLP_FIELDS}


@st.composite
def bodies(draw):
    """A protocol and a body for it: JSON of any values, or one that was right once."""
    protocol = draw(st.sampled_from(PROTOCOLS))
    if protocol in FIELDS and draw(st.booleans()):
        names = st.sampled_from(FIELDS[protocol]) | json_text
        records = st.lists(st.dictionaries(names, json_value, max_size=6) | json_value, max_size=4)
        encoded = [requests.compat.json.dumps(each).encode() for each in draw(records)]
        return protocol, protocol(None).wrapped(encoded)
    chance = random.Random(draw(st.integers(0, 2**64)))
    return protocol, mutations.mutated(chance.choice(SEEDS[protocol]), EVERYTHING, chance)


@st.composite
def headers(draw):
    """None mostly, else one that says something of the body which may be true."""
    names = ["", "", "", *COMPRESSIONS, "zstd", "Idempotency_Key", "Content_Type"]
    name = draw(st.sampled_from(names))
    if name in {"Idempotency_Key", "Content_Type"}:
        text = st.text(st.characters(min_codepoint=33, max_codepoint=255), min_size=1)
        return {name: draw(text).encode("latin-1")}
    return {"Content_Encoding": name} if name else {}


class Senders:
    """Send to *collector*; what is odd goes to *findings*."""

    def __init__(self, collector, findings):
        self.statuses = Counter()
        self._collector = collector
        self._findings = findings
        self._run = uuid.uuid4().hex[:8]
        self._acknowledged = []

    def round(self, seconds, seed):
        """Send for so many seconds."""
        end = time.monotonic() + seconds

        @settings(examples=200)
        @hypothesis.given(made=bodies(), headers=headers(), squeezed=st.booleans())
        def send(made, headers, squeezed):
            if time.monotonic() < end:
                protocol, body = made
                compress = COMPRESSIONS.get(headers.get("Content_Encoding"))
                self._send(protocol, compress(body) if compress and squeezed else body, headers)

        while time.monotonic() < end:
            hypothesis.seed(seed)(send)()
            seed += 1

    def _send(self, protocol, body, headers):
        try:
            answer = protocol(self._collector).send(body, **headers)
        except Exception as exc:  # noqa: BLE001  no answer, or one that can't be read
            self._findings.add(f"{protocol.__name__}: {type(exc).__name__}: {exc}", body, headers)
            return
        self.statuses[protocol.__name__, answer.status] += 1
        if answer.status not in EXPECTED:
            self._findings.add(f"{protocol.__name__}: {answer.status}", body, headers)
        if self.statuses.total() % GOOD == 0:
            self._send_good(protocol(self._collector))

    def _send_good(self, sender):
        name = f"{self._run}-{self.statuses.total()}"
        if sender.send_records(sender.good(name)).status == 200:
            self._acknowledged.append(name)

    def told(self, dsn):
        """Say what became of what was acknowledged."""
        with psycopg.connect(dsn) as connection:
            stored = Counter(
                row[0]
                for row in connection.execute(
                    "SELECT request_id FROM log_entries WHERE request_id LIKE %s",
                    [f"{self._run}-%"],
                )
            )
        wrong = [name for name in self._acknowledged if stored[name] != 1]
        for name in wrong[:10]:
            self._findings.add(f"good record {name} is stored {stored[name]} times")
        return f"{len(self._acknowledged):,} good records between, of which {len(wrong)} are wrong"
