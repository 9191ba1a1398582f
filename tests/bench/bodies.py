"""Request bodies of realistic records, the same ones for every protocol."""

from __future__ import annotations

import base64
import datetime as dt
import random

import msgspec
from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

SEVERITY = {"DEBUG": 5, "INFO": 9, "WARNING": 13, "ERROR": 17}
UNKNOWN_FIELD = bytes.fromhex("c13e")  # number 1000, 8 bytes
STAGES = ("pipeline:start", "provider:map_params", "provider:submit", "provider:status", None)


def events(number, seed=1, start=None, step=0.001):
    """Give *number* events of workers, *step* seconds apart."""
    rng = random.Random(seed)
    start = start or dt.datetime.now(dt.UTC)
    for n in range(number):
        job = rng.randrange(1, 1 + max(1, number // 20))
        yield {
            "timestamp": (start + dt.timedelta(seconds=n * step)).isoformat(),
            "level": rng.choices(list(SEVERITY), (2, 14, 2, 1))[0],
            "service": rng.choice(("api", "worker", "generation-worker")),
            "env": "prod",
            "msg": f"job {job} moved on to its next step after {rng.randrange(9999)} ms",
            "request_id": f"{rng.getrandbits(128):032x}",
            "job_id": job,
            "submission_id": job * 10,
            "provider_id": rng.choice(("pixverse", "runway")),
            "operation_type": "image_to_video",
            "stage": rng.choice(STAGES),
            "trace_id": f"{job:032x}",
            "span_id": f"{rng.getrandbits(64):016x}",
            "duration_ms": round(rng.random() * 1000, 2),
            "attempt": rng.randrange(3),
            "account_id": rng.randrange(1000),
            "queue": "default",
        }


def native(found):
    """Encode as the native batch endpoint takes it."""
    return msgspec.json.encode({"logs": found})


def otlp_json(found):
    """Encode as OTLP JSON, whose ids are hex where protobuf's own JSON has base64."""
    request = json_format.MessageToDict(
        ExportLogsServiceRequest.FromString(otlp(found)),
        use_integers_for_enums=True,  # as OTLP demands
    )
    for resource_logs in request["resourceLogs"]:
        for record in resource_logs["scopeLogs"][0]["logRecords"]:
            for key in ("traceId", "spanId"):
                record[key] = base64.b64decode(record[key]).hex()
    return msgspec.json.encode(request)


def _attributes(event):
    for key, value in event.items():
        if key in {"timestamp", "level", "service", "env", "msg", "trace_id", "span_id"}:
            continue
        match value:
            case None:
                continue
            case int():
                yield KeyValue(key=key, value=AnyValue(int_value=value))
            case float():
                yield KeyValue(key=key, value=AnyValue(double_value=value))
            case _:
                yield KeyValue(key=key, value=AnyValue(string_value=value))


def nanoseconds(event):
    """Give the time of *event* as OTLP has it."""
    return int(dt.datetime.fromisoformat(event["timestamp"]).timestamp() * 1e6) * 1_000


def otlp(found):
    """Encode as OTLP protobuf, one resource a service."""
    request = ExportLogsServiceRequest()
    by_service = {}
    for event in found:
        service = event["service"]
        if service not in by_service:
            resource = request.resource_logs.add()
            for key, value in (("service.name", service), ("deployment.environment.name", "prod")):
                resource.resource.attributes.append(
                    KeyValue(key=key, value=AnyValue(string_value=value))
                )
            by_service[service] = resource.scope_logs.add()
            by_service[service].scope.name = "pixsim"
        record = by_service[service].log_records.add()
        record.time_unix_nano = nanoseconds(event)
        record.observed_time_unix_nano = record.time_unix_nano
        record.severity_number = SEVERITY[event["level"]]
        record.severity_text = event["level"]
        record.body.string_value = event["msg"]
        record.trace_id = bytes.fromhex(event["trace_id"])
        record.span_id = bytes.fromhex(event["span_id"])
        record.attributes.extend(_attributes(event))
    return request.SerializeToString()


def unlike(body, number, content_type):
    """Make *body* other bytes for each *number*, or it were stored once; it says the same."""
    if content_type == "application/x-protobuf":
        return body + UNKNOWN_FIELD + number.to_bytes(8, "little")
    return body + bytes(b" \t"[number >> bit & 1] for bit in range(32))  # white space
