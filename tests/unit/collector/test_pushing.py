"""The collector's own metrics, as OTLP has them."""

from __future__ import annotations

import datetime as dt

import pytest
import structlog
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from collector import configfile, pushing
from tests.builders import NOON
from tests.scripted import Reply, scripted


def sent(registry):
    message = pushing.message(registry.collect(), NOON, NOON + dt.timedelta(seconds=1))
    (resource,) = message.resource_metrics
    return resource, {metric.name: metric for metric in resource.scope_metrics[0].metrics}


def labels(point):
    return {each.key: each.value.string_value for each in point.attributes}


def test_message():
    """
    Counters are sums since the start, gauges what they are, and of histograms each bucket has its
    own number; labels are attributes, and who sends is the resource.
    """
    registry = CollectorRegistry()
    Counter("a", "Some.", ("of",), registry=registry).labels("x").inc(3)
    Gauge("b", "Now.", registry=registry).set(2.5)
    histogram = Histogram("c", "Spread.", ("of",), buckets=(1, 5), registry=registry)
    for value in (0.5, 4, 4, 9):
        histogram.labels("y").observe(value)
    Counter("never", "Nothing.", ("of",), registry=registry)
    resource, found = sent(registry)

    assert ["a", "b", "c"] == list(found)
    assert "pixsim-collector" == labels(resource.resource)["service.name"]
    (point,) = found["a"].sum.data_points
    assert (3, {"of": "x"}, True) == (point.as_double, labels(point), found["a"].sum.is_monotonic)
    assert (1e9, 2) == (
        point.time_unix_nano - point.start_time_unix_nano,
        found["a"].sum.aggregation_temporality,
    )
    assert [2.5] == [each.as_double for each in found["b"].gauge.data_points]
    (spread,) = found["c"].histogram.data_points
    assert [1, 5] == list(spread.explicit_bounds)
    assert [1, 2, 1] == list(spread.bucket_counts)
    assert (4, 17.5, {"of": "y"}) == (spread.count, spread.sum, labels(spread))


async def test_they_are_sent_on_demand():
    """
    Without an endpoint nothing is sent; with one all metrics are, and who doesn't take them costs
    no more than a line of the log, in which no header stands.
    """
    text = 'service: {{telemetry: {{metrics: {{endpoint: "{}", headers: {{X-Key: s3cret}}}}}}}}'
    off = configfile.parse("", "c", {}).config.service.telemetry.metrics
    async with scripted() as server:
        config = configfile.parse(text.format(server.url), "c", {}).config
        (chore,) = pushing.pushing(config.service.telemetry.metrics)
        await chore.do()
        server.rule = lambda _: Reply(500, b"no")
        with structlog.testing.capture_logs() as lines:
            await chore.do()
        (first, _) = server.requests
    with structlog.testing.capture_logs() as away:
        await chore.do()

    assert [] == pushing.pushing(off)
    assert ("/v1/metrics", "s3cret") == (first.path, first.headers["X-Key"])
    metrics = ExportMetricsServiceRequest.FromString(first.body).resource_metrics[0]
    assert "pixsim_commit_seconds" in {each.name for each in metrics.scope_metrics[0].metrics}
    assert [("metrics_not_sent", "HTTP 500: no")] == [(x["event"], x["error"]) for x in lines]
    assert "metrics_not_sent" == away[0]["event"]
    assert "s3cret" not in f"{configfile.dump(config)}{config}{away}"


def test_addresses():
    """
    What is no URL is refused when the file is read.
    """
    with pytest.raises(configfile.Invalid, match="http"):
        configfile.parse("service: {telemetry: {metrics: {endpoint: here}}}", "c", {})
