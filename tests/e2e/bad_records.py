"""Records that no sender should write and some do, encoded for each protocol."""

from __future__ import annotations

import base64
import json
import random
import struct

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from tests.e2e.protocols import field, length

DEEP = 100_000
DIGITS = b"1" * 10_000
# It does not shrink when Postgres compresses it, so that limits of size really count.
NOISE = base64.b64encode(random.Random(0).randbytes(1_500_000)).decode()

TOO_LARGE = r"the record has \d+ bytes, the most is 1048576"


def native(text="", **fields):
    """A native record with these fields, and then what *text* says."""
    entry = {"level": "INFO", "service": "bad", **fields}
    text = text if isinstance(text, bytes) else text.encode()
    return json.dumps(entry).encode()[:-1] + (b", " + text if text else b"") + b"}"


def numbered(count, text, between=b""):
    """So many times *text*, each with a number of its own for the one that it has."""
    start, end = text.split(b"000000")
    return between.join(start + b"%06d" % number + end for number in range(count))


def keys(count):
    return numbered(count, b'"k000000": 1', b", ")


def made(record):
    """Give a case's record, made now if it is large."""
    return record if isinstance(record, bytes) else record()


def case(record, name, alone=200, message="", rejected=0):
    """
    A record, and what its sender is told: the status where it is *alone* in its request, how
    many are *rejected* where good ones stand beside it, and in both a message (a regex).

    Of a large record it is a function that makes it: tests are collected many times, and run once.
    """
    return pytest.param(record, alone, message, rejected, id=name)


NATIVE = [
    case(native(r'"m\u0000": "a\u0000", "msg": "\u0000", "request_id": "\u0000"'), "NUL"),
    case(native(r'"\ud800": "\udfff", "msg": "\ud800x", "trace_id": "\udc00"'), "surrogates"),
    case(native(b'"msg": "\xff\xfe\xc0\x80", "\xed\xa0\x80": "\xf5"'), "not UTF-8"),
    case(native(b'"job_id": ' + DIGITS + b', "x": -' + DIGITS), "10,000 digits"),
    case(native(b'"duration_ms": ' + DIGITS + b".5e" + DIGITS), "10,000 digits and exponent"),
    case(native('"duration_ms": NaN, "job_id": Infinity, "x": [-Infinity]'), "NaN and infinities"),
    case(native('"duration_ms": 1e999, "attempt": -1e400, "x": 1e-999'), "beyond a double"),
    case(native(job_id=2**63, user_id=-(2**63) - 1, attempt=2**200, x=2**64), "beyond int64"),
    case(native(timestamp="0001-01-01T00:00:00Z"), "year 1"),
    case(native(timestamp="0001-01-01T00:00:00+14:00"), "before year 1"),
    case(native(timestamp="2554-07-21T23:34:33.709551615Z"), "year 2554"),
    case(native(timestamp=2**64 - 1), "nanoseconds of year 2554"),
    case(native(timestamp="9999-12-31T23:59:59.999999-14:00"), "after year 9999"),
    case(native(timestamp=-1e300), "time beyond all"),
    case(native(timestamp="yesterday"), "time in words"),
    case(native(timestamp={"$date": 1}), "time as object"),
    case(native(trace_id="ab", span_id="z" * 17), "ids of wrong length"),
    case(native(trace_id="", span_id="", request_id=""), "empty ids"),
    case(native(**{NOISE[:65_536]: 1}), "key of 64 KB"),
    case(native(request_id=NOISE[:1_000_000], trace_id=NOISE[9:9_000]), "request_id of 1 MB"),
    case(native(level=NOISE[:10_000], service=NOISE[:10_000]), "level and service of 10 KB"),
    case(native(stage=NOISE[:10_000], level="error", env=NOISE[:10_000]), "names of 10 KB"),
    case(native('"level": "ERROR", "x": 1, "x": 2, "x": {"y": 1, "y": 2}'), "duplicate keys"),
    case(lambda: native(keys(60_000)), "60,000 keys"),
    case(native("", extra=[1], id=7, created_at=1, severity_number="x", otlp=1), "our own names"),
    case(native(b'"x": ' + b"[" * 90 + b"]" * 90), "nested 90 deep"),
    case(lambda: native(msg=7 * NOISE[:1_500_000]), "10 MB", 413, TOO_LARGE, 1),
    case(lambda: native(keys(1_000_000)), "a million keys", 413, TOO_LARGE, 1),
]

# The JSON of the whole request cannot be read, or is not of its shape.
NATIVE_HOPELESS = [
    case(native(b'"x": ' + b"[" * DEEP + b"]" * DEEP), "nested 100,000 deep", 422, "too deeply"),
    case(native(b'"x": ' + b'{"k":' * DEEP), "open 100,000 deep", 422, "too deeply"),
    case(native(b'"msg": "\0"'), "raw NUL", 422, "JSON decode error"),
    case(native(b'"msg": "'), "open string", 422, "JSON decode error"),
    case(native(b'"msg": "\\ud8"'), "half an escape", 422, "JSON decode error"),
    case(b'"a string"', "no object", 422, "Input should be a valid dictionary"),
    case(b"[]", "a list", 422, "Input should be a valid dictionary"),
    case(b"null", "null", 422, "Input should be a valid dictionary"),
]


def otlp(text="", **fields):
    """An OTLP record in JSON with these fields, and then what *text* says."""
    return native(text, **fields).replace(b'"level": "INFO", "service": "bad"', b'"flags": 1', 1)


def attribute(key, **value):
    return {"key": key, "value": value}


def attributes(count):
    one = json.dumps(attribute("k000000", intValue=1)).encode()
    return b'"attributes": [' + numbered(count, one, b", ") + b"]"


CHANGED = "stored with a change: "
OTLP_TOO_LARGE = r"\d+ bytes, the most is 1048576"
OTLP_JSON = [
    case(
        otlp(r'"body": {"stringValue": "\u0000"}, "eventName": "\u0000", "severityText": "\u0000"'),
        "NUL",
        message=CHANGED + "1 NUL",
    ),
    case(otlp(r'"body": {"stringValue": "\ud800"}'), "surrogate", message=CHANGED + "1 what"),
    case(otlp(b'"body": {"stringValue": "\xff"}'), "not UTF-8", message=CHANGED + "1 what"),
    case(otlp(b'"timeUnixNano": ' + DIGITS), "10,000 digits", 400, "out of range", 1),
    case(otlp(b'"body": {"intValue": "' + DIGITS + b'"}'), "digits as text", 400, "intValue", 1),
    case(otlp(body={"doubleValue": "NaN"}), "NaN as text"),
    case(otlp(body={"intValue": 2**63}), "beyond int64", 400, "body.intValue", 1),
    case(otlp(timeUnixNano="-1"), "time before 1970", 400, "timeUnixNano", 1),
    case(otlp(timeUnixNano=str(2**64 - 1)), "year 2554"),
    case(otlp(timeUnixNano=2**64), "time beyond all", 400, "timeUnixNano", 1),
    case(otlp(traceId="ab", spanId="abcd"), "ids of wrong length", message=CHANGED),
    case(otlp(traceId="zz" * 16), "ids that are no hex", message=CHANGED),
    case(otlp(severityNumber=25), "severity 25"),
    case(otlp(severityNumber=2**31), "severity beyond int32", 400, "severityNumber", 1),
    case(otlp(attributes=[attribute(NOISE[:65_536], intValue=1)]), "key of 64 KB"),
    case(otlp(attributes=[attribute("request_id", stringValue=NOISE[:1_000_000])]), "id of 1 MB"),
    case(otlp(severityText=NOISE[:10_000]), "level of 10 KB"),
    case(otlp(attributes=[attribute("service.name", stringValue=NOISE[:10_000])]), "service"),
    case(otlp(attributes=3 * [attribute("x", intValue=1)]), "duplicate keys"),
    case(lambda: otlp(attributes(20_000)), "many keys"),
    case(lambda: otlp(body={"stringValue": 7 * NOISE}), "10 MB", 200, OTLP_TOO_LARGE, 1),
    case(lambda: otlp(attributes(1_000_000)), "a million", 200, OTLP_TOO_LARGE, 1),
]
OTLP_JSON_HOPELESS = [
    case(otlp(b'"x": ' + b"[" * DEEP + b"]" * DEEP), "nested 100,000 deep", 400, "nested too deep"),
    case(otlp(b'"body": {"stringValue": "'), "open string", 400, "not JSON"),
    case(otlp(b'"body": {"stringValue": "\0"}'), "raw NUL", 400, "not JSON"),
    case(otlp('"body": {"doubleValue": NaN}'), "NaN that is no text", 400, "not JSON"),
]


def proto(attributes=(), **fields):
    """An OTLP record in protobuf; a text ``@@@@`` stands for bytes that are no UTF-8."""
    record = LogRecord(flags=1, **fields)
    for key, value in attributes:
        record.attributes.append(KeyValue(key=key, value=AnyValue(**value)))
    return record.SerializeToString().replace(b"@@@@", b"\xff\xed\xa0\x80")


def nested(depth):
    """A record with a body of *depth* lists in each other; the lengths are those from inside."""
    heads, size = [], 0
    for _ in range(2 * depth):  # a value with the field 5, a list, with the field 1, values
        number = 5 if len(heads) % 2 else 1
        heads.append(length(number << 3 | 2) + length(size))
        size += len(heads[-1])
    return field(5, b"".join(reversed(heads)))


def fixed64(number, value):
    return length(number << 3 | 1) + struct.pack("<Q", value)


TEXT = {"string_value": "x"}


def texts(count):
    one = KeyValue(key="k000000", value=AnyValue(**TEXT))
    return numbered(count, field(6, one.SerializeToString()))


PROTO = [
    case(proto(body=AnyValue(string_value="\0"), event_name="\0"), "NUL", message="1 NUL"),
    case(proto([("@@@@", TEXT)], severity_text="@@@@"), "not UTF-8", message="1 what is not Uni"),
    case(proto(body=AnyValue(double_value=float("nan"))), "NaN"),
    case(proto(body=AnyValue(int_value=-(2**63))), "least int64"),
    case(fixed64(1, 1), "year 1970"),
    case(fixed64(1, 2**64 - 1) + fixed64(11, 2**64 - 1), "year 2554"),
    case(proto(trace_id=b"ab", span_id=bytes(9)), "ids of wrong length", message=CHANGED),
    case(proto(severity_number=25), "severity 25"),
    case(b"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "severity -1"),
    case(proto([(NOISE[:65_536], TEXT)]), "key of 64 KB"),
    case(proto([("request_id", {"string_value": NOISE[:1_000_000]})]), "request_id of 1 MB"),
    case(proto(severity_text=NOISE[:10_000]), "level of 10 KB"),
    case(proto([("service.name", {"string_value": NOISE[:10_000]})]), "service of 10 KB"),
    case(proto([("x", TEXT), ("x", TEXT), ("", TEXT), ("y", {})]), "duplicate and empty keys"),
    case(lambda: texts(40_000), "40,000 attributes"),
    case(lambda: proto(body=AnyValue(string_value=7 * NOISE)), "10 MB", 200, OTLP_TOO_LARGE, 1),
    case(lambda: texts(1_000_000), "a million", 200, OTLP_TOO_LARGE, 1),
    case(lambda: nested(DEEP // 2), "nested 50,000 deep", 400, "MaxDepth", 1),
    case(nested(40), "nested 40 deep", 200, "more than 30", 1),
    case(field(5, b"\xff"), "a broken body", 400, "cannot be decoded", 1),
    case(field(6, b"\x0a\x7f"), "a broken attribute", 400, "cannot be decoded", 1),
    case(b"\x0f", "a wrong wire type", 400, "cannot be decoded", 1),
    case(field(2, b"x"), "a text for a number"),
    case(field(6, b""), "an attribute of no bytes"),
    case(b"", "empty"),
]
