"""The ways in: how each protocol wraps encoded records into a request, and what it answers."""

from __future__ import annotations

import json
import uuid

import requests
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

JSON, PROTOBUF = "application/json", "application/x-protobuf"
TIMEOUT = 30  # seconds


def length(number):
    """A length as protobuf writes it."""
    found = b""
    while number > 127:
        found += bytes([number % 128 + 128])
        number //= 128
    return found + bytes([number])


def field(number, content):
    """A field of a protobuf message that has a length."""
    return length(number << 3 | 2) + length(len(content)) + content


class Protocol:
    """
    One way in. ``send`` posts a body, ``send_records`` encoded records in one request.

    After each, ``status`` and ``message`` are of the answer, and ``rejected`` the number of
    records that it says were not stored.
    """

    content_type = JSON

    def __init__(self, collector):
        self.collector = collector
        self.status = self.rejected = self.message = None

    def send(self, body, **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = requests.post(
            self.url, body, headers={"Content-Type": self.content_type, **named}, timeout=TIMEOUT
        )
        self.status, self.rejected = answer.status_code, 0
        self.message = self.read(answer) if answer.status_code == 200 else self.failure(answer)
        return self

    def send_records(self, *records):
        return self.send(self.wrapped(records))

    def send_between_good(self, record):
        """Send a record between two good ones; give how many of the good ones are found then."""
        token = uuid.uuid4().hex
        good = self.good(token)
        self.send_records(good, record, good)
        return len(self.collector.query(request_id=token))

    def failure(self, answer):
        return json.dumps(answer.json()["detail"])


class NativeBatch(Protocol):
    """``/api/v1/logs/ingest/batch``."""

    @property
    def url(self):
        return f"{self.collector.native}/api/v1/logs/ingest/batch"

    def good(self, token):
        line = {"level": "INFO", "service": "good", "msg": "hello", "request_id": token}
        return json.dumps(line).encode()

    def wrapped(self, records):
        return b'{"logs": [' + b", ".join(records) + b"]}"

    def read(self, answer):
        self.rejected = answer.json()["rejected"]
        return json.dumps(answer.json()["errors"])


class NativeSingle(NativeBatch):
    """``/api/v1/logs/ingest``; good records cannot stand in the same request."""

    @property
    def url(self):
        return f"{self.collector.native}/api/v1/logs/ingest"

    def wrapped(self, records):
        return records[0]

    def send_between_good(self, record):
        token = uuid.uuid4().hex
        self.send_records(self.good(token))
        self.send_records(self.good(token))
        self.send_records(record)
        return len(self.collector.query(request_id=token))

    def read(self, answer):
        return answer.json()["message"]


class OtlpJson(Protocol):
    """``/v1/logs`` in JSON."""

    @property
    def url(self):
        return f"{self.collector.otlp}/v1/logs"

    def good(self, token):
        attribute = {"key": "request_id", "value": {"stringValue": token}}
        return json.dumps({"body": {"stringValue": "hello"}, "attributes": [attribute]}).encode()

    def wrapped(self, records):
        records = b", ".join(records)
        return b'{"resourceLogs": [{"scopeLogs": [{"logRecords": [' + records + b"]}]}]}"

    def read(self, answer):
        partial = answer.json().get("partialSuccess", {})
        self.rejected = int(partial.get("rejectedLogRecords", 0))
        return partial.get("errorMessage", "")

    def failure(self, answer):
        return answer.json()["message"]


class OtlpProtobuf(OtlpJson):
    """``/v1/logs`` in protobuf."""

    content_type = PROTOBUF

    def good(self, token):
        record = LogRecord(body=AnyValue(string_value="hello"))
        record.attributes.append(KeyValue(key="request_id", value=AnyValue(string_value=token)))
        return record.SerializeToString()

    def wrapped(self, records):
        scope_logs = b"".join(field(2, record) for record in records)
        return field(1, field(2, scope_logs))  # resource_logs.scope_logs.log_records

    def read(self, answer):
        partial = ExportLogsServiceResponse.FromString(answer.content).partial_success
        self.rejected = partial.rejected_log_records
        return partial.error_message

    def failure(self, answer):
        if answer.headers["Content-Type"] != PROTOBUF:  # the request's type was not known
            return super().failure(answer)
        return Status.FromString(answer.content).message


PROTOCOLS = [NativeSingle, NativeBatch, OtlpJson, OtlpProtobuf]
