"""The bodies of requests as pixsim's services send them: native JSON, and OTLP in protobuf."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import msgspec
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from collector.demo_events import BROWSER, OTEL, SERVICES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from collector.demo_events import Event

NATIVE_PATH, OTLP_PATH = "/api/v1/logs/ingest/batch", "/v1/logs"
SEVERITIES = {"debug": 5, "info": 9, "warning": 13, "error": 17}
SAMPLED = 1  # the trace flag


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """One request: where to, and what with."""

    otlp: bool
    body: bytes
    content_type: str
    records: int


def posts(events: Sequence[Event], since_ns: int, now_ns: int) -> list[Post]:
    """Give the requests, one a service, for *events* that happened one by one in this time."""
    step = (now_ns - since_ns) // (len(events) + 1)
    by_service: dict[str, list[tuple[Event, int]]] = {}
    for place, event in enumerate(events, 1):
        by_service.setdefault(event.service, []).append((event, since_ns + place * step))
    return [_post(service, pairs) for service, pairs in by_service.items()]


def _post(service: str, pairs: Sequence[tuple[Event, int]]) -> Post:
    otlp = SERVICES[service] == OTEL
    if otlp:
        body = _otlp(service, pairs)
    elif SERVICES[service] == BROWSER:
        body = msgspec.json.encode({"logs": [_browser(event) for event, _ in pairs]})
    else:
        body = msgspec.json.encode({"logs": [_python(event, time) for event, time in pairs]})
    content_type = "application/x-protobuf" if otlp else "application/json"
    return Post(otlp=otlp, body=body, content_type=content_type, records=len(pairs))


def _python(event: Event, time_ns: int) -> dict[str, Any]:
    """Give the entry that structlog's chain in a Python service makes."""
    when = dt.datetime.fromtimestamp(time_ns // 1_000 / 1e6, dt.UTC)
    entry = {
        "event": event.event,
        "timestamp": when.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "level": event.level,
        "service": event.service,
        "env": "dev",
        **event.fields,
    }
    return entry if event.exception is None else entry | {"exception": event.exception}


def _browser(event: Event) -> dict[str, Any]:
    """Give the entry that a browser makes: without a time, its level in upper case."""
    return {
        "level": event.level.upper(),
        "service": event.service,
        "env": "dev",
        "msg": event.event,
        **event.fields,
    }


def _otlp(service: str, pairs: Iterable[tuple[Event, int]]) -> bytes:
    message = ExportLogsServiceRequest()
    of_resource = message.resource_logs.add()
    of_resource.resource.attributes.extend(
        _attributes(
            {
                "service.name": service,
                "service.instance.id": f"{service}-1",
                "deployment.environment.name": "dev",
                "telemetry.sdk.language": "python",
            }
        )
    )
    of_scope = of_resource.scope_logs.add()
    of_scope.scope.name = f"pixsim.{service}"
    for event, time_ns in pairs:
        fields = dict(event.fields)
        of_scope.log_records.add(
            time_unix_nano=time_ns,
            observed_time_unix_nano=time_ns,
            severity_number=SEVERITIES[event.level],
            severity_text=event.level.upper(),
            body=AnyValue(string_value=event.event),
            trace_id=bytes.fromhex(fields.pop("trace_id", "")),
            span_id=bytes.fromhex(fields.pop("span_id", "")),
            flags=SAMPLED if "trace_id" in event.fields else 0,
            attributes=_attributes(fields),
        )
    return message.SerializeToString()


def _attributes(values: dict[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=_any_value(value)) for key, value in values.items()]


def _any_value(value: Any) -> AnyValue:
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case _:
            return AnyValue(string_value=str(value))
