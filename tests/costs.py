"""
What records and requests cost, in bytecodes and in calls of C functions: counts, not times.

They are the same on every machine, so that a test can hold the code to those in *costs.json*.
``python -m tests.costs`` writes them anew, for who has changed them on purpose.
"""

from __future__ import annotations

import asyncio
import collections
import json
import selectors
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from collector import server
from collector.body import InFlight
from collector.correlation import Columns, Correlation
from collector.exporters.otlphttp import Encoder, OtlpHttp
from collector.pipeline import pipeline
from collector.receivers import pixsim
from collector.receivers.otlp import json as otlp_json
from collector.receivers.otlp import mapping, protobuf
from collector.receivers.pixsim import decoding
from collector.receivers.pixsim.mapping import record
from storage import ledger
from storage.moments import moment
from storage.records import Outcome
from storage.repeats import Keys
from storage.stored import Stored
from tests.bench import bodies, load
from tests.builders import NOON, batch
from tests.unit.collector.otlp_messages import columns

# What is done there is not counted: the client's part, and that of a loop that services don't have.
ELSEWHERE = (str(Path(__file__).parent), str(Path(asyncio.__file__).parent), selectors.__file__)
FILE = Path(__file__).with_suffix(".json")
PYTHON = "{}.{}".format(*sys.version_info)
RECORDS = 100
NOW = int(NOON.timestamp()) * 10**9


def ways():
    """Give what is done with the records of a body, by the way's name."""
    encode = Encoder(OtlpHttp(endpoint="http://127.0.0.1"))
    mappers = collections.defaultdict(
        lambda: mapping.Mapper(columns=Columns(Correlation()), max_record_size=2**20)
    )

    def otlp(decoder, body, use="receiving"):
        rows = mapping.Rows()
        mapper = mappers[decoder, use]
        collections.deque(mapper.slices(decoder, body, NOW, rows), maxlen=0)
        return rows

    noon = moment(NOON)

    def from_json(body):
        changes = collections.Counter()
        return [record(each, noon, set()) for each in decoding.decode(body, changes)["logs"]]

    def stored(events):
        rows = otlp(protobuf, bodies.otlp(events), "sending on")
        resources, scopes = rows.resources, rows.scopes
        return [
            Stored(
                None,
                resources[row.resource_id],
                scopes[row.scope_id],
                noon,
                False,
                columns=columns(row),
            )
            for row in rows.records
        ]

    def taken(events):
        return [batch(*otlp(protobuf, bodies.otlp(events), "the ledger").records)]

    # How the body is made, and what is done with it.
    return {
        "OTLP protobuf to rows": (bodies.otlp, lambda body: otlp(protobuf, body)),
        "OTLP JSON to rows": (bodies.otlp_json, lambda body: otlp(otlp_json, body)),
        "native JSON to rows": (bodies.native, from_json),
        "rows to the ledger": (taken, lambda batches: ledger.entry(batches, {}, Keys(batches))),
        "rows to OTLP protobuf": (stored, lambda rows: collections.deque(encode(rows), maxlen=0)),
    }


@contextmanager
def counting(number):
    """Give a dict that has at the end what was done inside the block, divided by *number*."""
    counts, found = collections.Counter(), {}

    def traced(frame, event, _argument):
        if frame.f_code.co_filename.startswith(ELSEWHERE):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        counts["bytecodes"] += event == "opcode"
        return traced

    def profiled(frame, event, _argument):
        counts["calls"] += event == "c_call" and not frame.f_code.co_filename.startswith(ELSEWHERE)

    others = sys.gettrace(), sys.getprofile()
    sys.settrace(traced)
    sys.setprofile(profiled)
    try:
        yield found
    finally:
        sys.settrace(others[0])
        sys.setprofile(others[1])
        found.update({name: round(count / number, 1) for name, count in counts.items()})


def cost(make, way):
    """Give what *way* takes a record of a body that is like others before, and none of them."""
    *before, last = (make(list(bodies.events(RECORDS, seed=seed, start=NOON))) for seed in range(9))
    for body in before:
        way(body)
    with counting(RECORDS) as found:
        way(last)
    return found


async def request_cost():
    """Give what a request of one record takes, from its connection to its answer, but storing."""

    async def submit(batch):
        await asyncio.sleep(0)
        return Outcome(stored=len(batch.records))

    config = pixsim.Pixsim(endpoint="127.0.0.1:0")
    listener = server.Listener(config, pixsim.routes(config, pipeline([], submit)))
    async with server.listening([listener], InFlight(2**20), shutdown_timeout=5) as (url,):
        sent = [
            load.request(f"{url}{pixsim.PATH}/batch", "application/json", bodies.native([event]))
            for event in bodies.events(RECORDS, start=NOON)
        ]
        await load.run(url, sent, RECORDS, connections=1)
        with counting(RECORDS) as found:
            await load.run(url, sent, RECORDS, connections=1)
    return found


def costs():
    """Give how each cost is counted, by what it is of."""
    found = {name: partial(cost, *way) for name, way in ways().items()}
    return found | {"a request of one record": lambda: asyncio.run(request_cost())}


def known():
    """Give what is written, by the Python it was counted with."""
    return json.loads(FILE.read_text()) if FILE.exists() else {}


def main():
    """Count, and write it down for this Python."""
    found = {name: count() for name, count in costs().items()}
    for name, its in found.items():
        was = known().get(PYTHON, {}).get(name, its)
        sys.stdout.write(f"{name:24} {its}{'' if was == its else f', was {was}'}\n")
    FILE.write_text(json.dumps(known() | {PYTHON: found}, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
