"""The collector's own metrics by OTLP/HTTP, for who doesn't scrape them."""

from __future__ import annotations

import asyncio
import datetime as dt
import socket
import uuid
from importlib import metadata
from typing import TYPE_CHECKING, Any, TypeAlias

import aiohttp
import msgspec
import structlog
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.metrics.v1 import metrics_pb2 as m

from collector import secrets, telemetry
from collector.forwarding import http
from collector.forwarding.settings import Tls, UrlOrEmpty
from collector.housekeeping import Chore
from collector.secrets import Secret  # noqa: TC001  msgspec reads the annotations
from collector.sections import Seconds, Section

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from opentelemetry.proto.resource.v1.resource_pb2 import Resource
    from prometheus_client import Metric
    from prometheus_client.samples import Sample

Labels: TypeAlias = tuple[tuple[str, str], ...]

CUMULATIVE = m.AGGREGATION_TEMPORALITY_CUMULATIVE
INSTANCE = str(uuid.uuid4())
PATH = "/v1/metrics"
MOST_ANSWER = 4_096  # bytes of an answer that are read

log = structlog.get_logger()


class Push(Section, frozen=True, kw_only=True):
    """Where something of the collector's own is sent to, by OTLP/HTTP."""

    endpoint: UrlOrEmpty = ""  # the path of what is sent is appended
    timeout: Seconds = 10.0
    headers: dict[str, Secret] = msgspec.field(default_factory=dict)
    tls: Tls = Tls()

    __repr__ = secrets.represent


class Metrics(Push, frozen=True, kw_only=True):
    """Where the collector's own metrics are sent to; nowhere without an endpoint."""

    interval: Seconds = 60.0


def pushing(config: Metrics) -> list[Chore]:
    """Give the chore that sends them, if they are to be sent."""

    async def push() -> list[str]:
        body = message(telemetry.families(), telemetry.STARTED, dt.datetime.now(dt.UTC))
        try:
            if problem := await posted(config, PATH, body.SerializeToString()):
                log.warning("metrics_not_sent", error=problem)
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            log.warning("metrics_not_sent", error=str(exc) or type(exc).__name__)
        return []

    chore = Chore(name="metrics", interval=config.interval, do=push)
    return [chore] if config.endpoint else []


async def posted(config: Push, path: str, body: bytes) -> str | None:
    """
    Send *body*; give the reason if it wasn't taken.

    What aiohttp raises is for the caller.
    """
    secure = config.endpoint.startswith("https:")
    context = await asyncio.to_thread(http.context, config.tls) if secure else True
    headers = {"Content-Type": "application/x-protobuf", "User-Agent": http.USER_AGENT}
    async with (
        aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=config.timeout),
            connector=aiohttp.TCPConnector(ssl=context),
        ) as session,
        session.post(
            config.endpoint.rstrip("/") + path,
            data=body,
            headers={**headers, **config.headers},
            allow_redirects=False,
            server_hostname=config.tls.server_name_override or None,
        ) as answer,
    ):
        content = await answer.content.read(MOST_ANSWER)
        return None if answer.status == 200 else http.told(answer.status, content)


def identify(resource: Resource) -> None:
    """Say in *resource* who we are."""
    named = {
        "service.name": "pixsim-collector",
        "service.version": metadata.version("pixsim-collector"),
        "service.instance.id": INSTANCE,
        "host.name": socket.gethostname(),
    }
    _attribute(resource.attributes, named)


def message(
    families: Iterable[Metric], started: dt.datetime, now: dt.datetime
) -> ExportMetricsServiceRequest:
    """Give *families* as OTLP has them; counters count since *started*."""
    found = ExportMetricsServiceRequest()
    resource = found.resource_metrics.add()
    identify(resource.resource)
    scope = resource.scope_metrics.add()
    scope.scope.name = "collector.telemetry"
    times = {
        "start_time_unix_nano": int(started.timestamp() * 1e9),
        "time_unix_nano": int(now.timestamp() * 1e9),
    }
    for family in families:
        if family.samples:
            metric = scope.metrics.add(name=family.name, description=family.documentation)
            _fill(metric, family, times)
    return found


def _fill(metric: m.Metric, family: Metric, times: dict[str, int]) -> None:
    if family.type == "histogram":
        metric.histogram.aggregation_temporality = CUMULATIVE
        for labels, samples in _by_labels(family.samples).items():
            _attribute(_point(metric.histogram, samples, times).attributes, dict(labels))
        return
    points: Any = metric.gauge.data_points
    if family.type == "counter":
        metric.sum.aggregation_temporality = CUMULATIVE
        metric.sum.is_monotonic = True
        points = metric.sum.data_points
    for sample in family.samples:
        if not sample.name.endswith("_created"):
            point = points.add(as_double=sample.value, **times)
            _attribute(point.attributes, sample.labels)


def _point(
    histogram: m.Histogram, samples: Iterable[Sample], times: dict[str, int]
) -> m.HistogramDataPoint:
    """Add the point that *samples* are: buckets that hold all below, the sum, and the number."""
    point = histogram.data_points.add(**times)
    buckets = sorted(
        (float(each.labels["le"]), int(each.value))
        for each in samples
        if each.name.endswith("_bucket")
    )
    below = 0
    for bound, number in buckets:
        if bound != float("inf"):
            point.explicit_bounds.append(bound)
        point.bucket_counts.append(number - below)
        below = number
    point.count = below
    point.sum = next((each.value for each in samples if each.name.endswith("_sum")), 0.0)
    return point


def _by_labels(samples: Iterable[Sample]) -> dict[Labels, list[Sample]]:
    found: dict[Labels, list[Sample]] = {}
    for sample in samples:
        labels = {name: value for name, value in sample.labels.items() if name != "le"}
        found.setdefault(tuple(sorted(labels.items())), []).append(sample)
    return found


def _attribute(attributes: Any, named: Mapping[str, str]) -> None:
    for name, value in named.items():
        attributes.add(key=name).value.string_value = value
