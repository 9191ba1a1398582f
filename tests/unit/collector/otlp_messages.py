"""Makers of OTLP messages, and of the message that a row is rebuilt to."""

from __future__ import annotations

import json as json_of_python
from base64 import b64encode

import msgspec
from google.protobuf.json_format import MessageToDict, ParseDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from collector.correlation import Columns, Correlation
from collector.exporters.otlphttp import Encoder, OtlpHttp, mapping
from collector.exporters.otlphttp import protobuf as outgoing
from collector.receivers.otlp import json, protobuf
from collector.receivers.otlp.mapping import Mapper, Rows
from storage.moments import FROM_1970
from storage.stored import Stored

NOW = 1_700_000_000_123_456_789
DEFAULT = {"body": {"stringValue": "hi"}}  # a record in JSON


def any_value(value):
    """Make the AnyValue of a Python value."""
    made = AnyValue()
    match value:
        case bool():
            made.bool_value = value
        case str():
            made.string_value = value
        case int():
            made.int_value = value
        case float():
            made.double_value = value
        case bytes():
            made.bytes_value = value
        case list():
            made.array_value.SetInParent()
            made.array_value.values.extend(map(any_value, value))
        case dict():
            made.kvlist_value.SetInParent()
            made.kvlist_value.values.extend(key_values(value))
    return made


def key_values(pairs):
    """Make the KeyValues of a dict."""
    return [KeyValue(key=key, value=any_value(value)) for key, value in pairs.items()]


def nested(shape, depth):
    """Make a value of *depth* lists or maps in each other."""
    value = "x"
    for _ in range(depth):
        value = [value] if shape == "list" else {"k": value}
    return value


def log_record(attributes=None, **fields):
    """Make a log record, with a body unless there is one in *fields*."""
    fields.setdefault("body", any_value("hi"))
    return LogRecord(attributes=key_values(attributes or {}), **fields)


def request(*records, resource=None, scope=None, schema_url="", scope_schema_url=""):
    """Make a request of one resource and one scope."""
    made = ExportLogsServiceRequest()
    resource_logs = made.resource_logs.add(schema_url=schema_url)
    resource_logs.resource.attributes.extend(key_values(resource or {}))
    scope_logs = resource_logs.scope_logs.add(schema_url=scope_schema_url)
    scope_logs.scope.attributes.extend(key_values(scope or {}))
    scope_logs.log_records.extend(records)
    return made


def as_json(message):
    """Give the body of *message* in OTLP's JSON, where ids are hex."""
    body = MessageToDict(message, use_integers_for_enums=True)
    pairs = zip(message.resource_logs, body.get("resourceLogs", ()), strict=True)
    for resource_logs, resource_body in pairs:
        scopes = zip(resource_logs.scope_logs, resource_body.get("scopeLogs", ()), strict=True)
        for scope_logs, scope_body in scopes:
            records = zip(scope_logs.log_records, scope_body.get("logRecords", ()), strict=True)
            for record, record_body in records:
                record_body["traceId"] = record.trace_id.hex()
                record_body["spanId"] = record.span_id.hex()
    return msgspec.json.encode(body)


def read(made, decoder, body):
    """Read *body* whole."""
    found = Rows()
    for _ in made.slices(decoder, body, NOW, found):
        pass
    return found


def mapper(max_record_size=2**20, **attributes):
    """Make a mapper with the default names, but for *attributes*."""
    return Mapper(
        columns=Columns(Correlation(attributes=attributes)), max_record_size=max_record_size
    )


def rows(message, encoding="protobuf", **options):
    """Map *message*, which arrives at `NOW`, in one of the encodings."""
    if encoding == "protobuf":
        return read(mapper(**options), protobuf, message.SerializeToString())
    return read(mapper(**options), json, as_json(message))


def row(message, encoding="protobuf", **options):
    """Map *message*, which has one record, in one of the encodings."""
    found = rows(message, encoding, **options)
    assert not found.problems
    (only,) = found.records
    return only


def body_of(*records):
    """Make the body of a request of records that are JSON already."""
    request = {"resourceLogs": [{"scopeLogs": [{"logRecords": list(records)}]}]}
    return msgspec.json.encode(request)


def read_json(body, **options):
    """Map a JSON body, which arrives at `NOW`."""
    return read(mapper(**options), json, body)


def stored(row, found=None, received=-FROM_1970):
    """Give *row*, which is of the rows *found*, as one that was read back from the table."""
    return Stored(
        given=None,
        resource=found and found.resources.get(row.resource_id),
        scope=found and found.scopes.get(row.scope_id),
        created_at=received,
        clamped=False,
        columns=columns(row),
    )


def columns(row):
    """Give the columns of *row* as they are read, times as sent and JSON as jsonb shows it."""
    found = msgspec.structs.asdict(row)
    for name in ("timestamp", "observed_timestamp"):
        if found[name] is not None:
            found[name] = sent(found[name])
    for name in ("otlp", "extra"):
        if found[name] is not None:
            found[name] = msgspec.json.format(msgspec.json.encode(found[name]), indent=0).decode()
    return tuple(found.values())


def sent(time):
    """Give *time* as timestamptz_send writes it."""
    return time.to_bytes(8, "big", signed=True)


def rebuilt(row):
    """Make the OTLP record that *row* came from, as it is sent on."""
    return LogRecord.FromString(outgoing.record(mapping.record(stored(row))))


def sent_on(records, encoding="protobuf", **config):
    """Make the request that stored records are sent on as."""
    config = OtlpHttp(
        endpoint="http://x", encoding="json" if encoding == "json" else "proto", **config
    )
    body = whole(Encoder(config), records)
    assert not body.refused
    if encoding == "json":
        return from_json(body.data)
    return ExportLogsServiceRequest.FromString(body.data)


def whole(encoder, records):
    """Run an encoder to its end."""
    slices = encoder(records)
    while True:
        try:
            next(slices)
        except StopIteration as end:
            return end.value


def from_json(body):
    """Read OTLP's JSON, where ids are hex, as strictly as protobuf does its own."""
    request = json_of_python.loads(body, object_hook=_strict)
    for resource_logs in request["resourceLogs"]:
        for scope_logs in resource_logs["scopeLogs"]:
            for record in scope_logs["logRecords"]:
                for name in {"traceId", "spanId"} & record.keys():
                    record[name] = b64encode(bytes.fromhex(record[name])).decode()
    return ParseDict(request, ExportLogsServiceRequest())


def _strict(given):
    """What protobuf's reader of JSON would let pass."""
    for name in {"intValue", "timeUnixNano", "observedTimeUnixNano"} & given.keys():
        assert isinstance(given[name], str), name
    assert not [name for name in given if "_" in name]
    return given


def in_order(message):
    """Give the bytes of *message*, its maps by key, for rows don't keep their order."""
    copy = type(message)()
    copy.CopyFrom(message)
    _order_pairs(copy.attributes)
    if isinstance(copy, LogRecord) and copy.HasField("body"):
        _order(copy.body)
    return copy.SerializeToString(deterministic=True)


def _order_pairs(pairs):
    pairs.sort(key=lambda pair: pair.key)
    for pair in pairs:
        _order(pair.value)


def _order(value):
    for each in value.array_value.values if value.HasField("array_value") else ():
        _order(each)
    if value.HasField("kvlist_value"):
        _order_pairs(value.kvlist_value.values)
