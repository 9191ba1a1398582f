"""
What one record costs on its ways, in bytecodes and in calls of C functions: counts, not times.

They are the same on every machine, so that a test can hold the code to those in *costs.json*.
``python -m tests.costs`` writes them anew, for who has changed them on purpose.
"""

from __future__ import annotations

import collections
import json
import sys
from pathlib import Path

from collector.correlation import Columns, Correlation
from collector.exporters.otlphttp import Encoder, OtlpHttp
from collector.receivers.otlp import json as otlp_json
from collector.receivers.otlp import mapping, protobuf
from collector.receivers.pixsim import decoding
from collector.receivers.pixsim.mapping import record
from storage import ledger
from storage.repeats import Keys
from storage.stored import Stored
from tests.bench import bodies
from tests.builders import NOON, batch

FILE = Path(__file__).with_suffix(".json")
PYTHON = "{}.{}".format(*sys.version_info)
RECORDS = 100
NOW = int(NOON.timestamp()) * 10**9


def ways():
    """Give what is done with `RECORDS` records, by the way's name."""
    events = list(bodies.events(RECORDS, start=NOON))
    native = bodies.native(events)
    encoded = {protobuf: bodies.otlp(events), otlp_json: bodies.otlp_json(events)}
    mapper = mapping.Mapper(columns=Columns(Correlation()), max_record_size=2**20)

    def otlp(decoder):
        rows = mapping.Rows()
        collections.deque(mapper.slices(decoder, encoded[decoder], NOW, rows), maxlen=0)
        return rows

    rows = otlp(protobuf)
    stored = [
        Stored(each, rows.resources[each.resource_id], rows.scopes[each.scope_id], NOON, False)
        for each in rows.records
    ]
    encode = Encoder(OtlpHttp(endpoint="http://127.0.0.1"))
    taken = [batch(*rows.records)]

    def from_json():
        changes = collections.Counter()
        return [record(each, NOON, set()) for each in decoding.decode(native, changes)["logs"]]

    return {
        "OTLP protobuf to rows": lambda: otlp(protobuf),
        "OTLP JSON to rows": lambda: otlp(otlp_json),
        "native JSON to rows": from_json,
        "rows to the ledger": lambda: ledger.entry(taken, {}, Keys(taken)),
        "rows to OTLP protobuf": lambda: collections.deque(encode(stored), maxlen=0),
    }


def cost(way):
    """Give what *way* takes a record, when it has been gone before."""
    for _ in range(3):
        way()
    counts = collections.Counter()

    def traced(frame, event, _argument):
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        counts["bytecodes"] += event == "opcode"
        return traced

    def profiled(_frame, event, _argument):
        counts["calls"] += event == "c_call"

    before = sys.gettrace(), sys.getprofile()
    sys.settrace(traced)
    sys.setprofile(profiled)
    try:
        way()
    finally:
        sys.settrace(before[0])
        sys.setprofile(before[1])
    return {name: round(number / RECORDS, 1) for name, number in counts.items()}


def known():
    """Give what is written, by the Python it was counted with."""
    return json.loads(FILE.read_text()) if FILE.exists() else {}


def main():
    """Count, and write it down for this Python."""
    found = {name: cost(way) for name, way in ways().items()}
    for name, costs in found.items():
        was = known().get(PYTHON, {}).get(name, costs)
        sys.stdout.write(f"{name:24} {costs}{'' if was == costs else f', was {was}'}\n")
    FILE.write_text(json.dumps(known() | {PYTHON: found}, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
