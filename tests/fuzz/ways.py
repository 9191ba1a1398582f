"""What the receivers do with a body before anything is stored, and what must hold after it."""

from __future__ import annotations

import collections

import msgspec

from collector.correlation import Columns, Correlation
from collector.errors import RequestError
from collector.receivers.otlp import answer, json, mapping, protobuf
from collector.receivers.pixsim import checks
from collector.receivers.pixsim.decoding import decode
from collector.receivers.pixsim.mapping import record
from storage import ledger
from storage.moments import moment
from storage.repeats import Keys
from tests.builders import NOON, batch

NOW = int(NOON.timestamp()) * 10**9
INT64 = range(-(2**63), 2**63)
MAPPER = mapping.Mapper(columns=Columns(Correlation()), max_record_size=2**20)


def otlp(decoder, kind, body):
    """Do as the OTLP receiver does."""
    rows = mapping.Rows()
    collections.deque(MAPPER.slices(decoder, body, NOW, rows), maxlen=0)
    answer.body(rows, (), kind)
    for shared in (*rows.resources.values(), *rows.scopes.values()):
        holds(shared)
    return rows.records


def native(shape, body):
    """Do as the native receiver does."""
    return [
        record(entry, moment(NOON), set())
        for entry in shape(decode(body, collections.Counter()), len(body))
    ]


WAYS = {
    "NativeSingle": lambda body: native(lambda *given: [checks.single(*given)], body),
    "NativeBatch": lambda body: native(checks.many, body),
    "OtlpJson": lambda body: otlp(json, answer.JSON, body),
    "OtlpProtobuf": lambda body: otlp(protobuf, answer.PROTOBUF, body),
}


def taken(name, body):
    """
    Do what is done with *body* by the way of this name.

    Either it is refused, as `RequestError` says, or its records are such as Postgres takes.
    """
    try:
        records = WAYS[name](body)
    except RequestError:
        return
    for each in records:
        assert type(each.timestamp) is int
        holds(each)
    if records:
        group = [batch(*records)]
        ledger.entry(group, {}, Keys(group))


def holds(value):
    """Fail where *value* has in it what no column takes."""
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.astuple(value)
    if isinstance(value, str):
        value.encode()
        assert "\0" not in value
    elif isinstance(value, dict):
        for name, each in value.items():
            holds(name)
            holds(each)
    elif isinstance(value, list | tuple):
        for each in value:
            holds(each)
    elif isinstance(value, int):
        assert value in INT64
