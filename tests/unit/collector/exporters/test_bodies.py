"""What the destinations get of records."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.exporters import datadog, elasticsearch, loki, splunk_hec, victorialogs
from collector.forwarding.http import Body
from collector.forwarding.target import Split
from storage.moments import SECOND, moment
from tests.builders import NOON
from tests.scripted import Request
from tests.targets.datadog import Datadog
from tests.targets.elasticsearch import Elasticsearch
from tests.targets.loki import Loki
from tests.targets.records import NOW, any_stored, encoded, native, otlp, stored
from tests.targets.splunk_hec import SplunkHec
from tests.targets.victorialogs import VictoriaLogs

URL = "http://there"


def clock():
    return NOW


ENCODERS = {
    "elasticsearch": lambda **more: elasticsearch.Encoder(
        elasticsearch.Elasticsearch(endpoint=URL, **more)
    ),
    "splunk_hec": lambda **more: splunk_hec.Encoder(
        splunk_hec.SplunkHec(endpoint=URL, token="t0ken", **more)
    ),
    "datadog": lambda **more: datadog.Encoder(datadog.Datadog(api_key="k3y", **more)),
    "loki": lambda **more: loki.Encoder(loki.Loki(endpoint=URL, **more), clock),
    "victorialogs": lambda **more: victorialogs.Encoder(
        victorialogs.VictoriaLogs(endpoint=URL, **more), clock
    ),
}
SERVERS = {
    "elasticsearch": Elasticsearch,
    "splunk_hec": SplunkHec,
    "datadog": Datadog,
    "loki": lambda: Loki(now=clock),
    "victorialogs": lambda: VictoriaLogs(now=clock),
}


def lines(name, *records, **more):
    body = encoded(ENCODERS[name](**more), *records)
    assert () == body.refused
    return [json.loads(line) for line in body.data.splitlines()]


def test_elasticsearch():
    """
    A record is a document of ECS; all that this has no field for is a text in labels.
    """
    assert lines("elasticsearch", native(), otlp()) == [
        {"create": {"_index": "logs-pixsim-default", "_id": "7-1763035200000000000-f0653d18"}},
        {
            "@timestamp": "2025-11-13T12:00:00.000000000Z",
            "message": "slow",
            "log": {"level": "WARNING"},
            "event": {"severity": 13, "duration": 1_500_500_000},
            "service": {"name": "worker", "environment": "dev"},
            "trace": {"id": "not hex"},
            "labels": {
                "request_id": "r-1",
                "job_id": "42",
                "duration_ms": "1500.5",
                "status": "500",
                "tags": '["a",1,null]',
                "empty": None,
            },
            "ecs": {"version": "8.11.0"},
        },
        {"create": {"_index": "logs-pixsim-default", "_id": "8-1763035200123456789-3ccad190"}},
        {
            "@timestamp": "2025-11-13T12:00:00.123456789Z",
            "message": '{"code":7}',
            "log": {"level": "Error"},
            "event": {"severity": 17, "created": "2025-11-13T12:00:01.000000001Z"},
            "service": {
                "name": "api",
                "environment": "prod",
                "version": "1.2",
                "node": {"name": "api-1"},
            },
            "host": {"name": "web-1"},
            "trace": {"id": "0af7651916cd43dd8448eb211c80319c"},
            "span": {"id": "b7ad6b7169203331"},
            "error": {"message": "no such file", "type": "OSError"},
            "labels": {
                "event_name": "render.failed",
                "deep_a_b": "1",
                "nan": "NaN",
                "raw": "aGk=",
                "odd_$x": "true",
                "_msg": "of the sender",
                "service": "another",
                "ünï_côde": "é",
                "attribute": "nameless",
                "body_code": "7",
                "otel_dropped_attributes_count": "3",
                "otel_scope_name": "lib",
                "otel_scope_version": "3",
                "scope_deep_a_b": "2",
                "flags": "257",
            },
            "ecs": {"version": "8.11.0"},
        },
    ]


def test_elasticsearch_indexes_by_date():
    """
    An index may be of the record's own day.
    """
    action, _ = lines("elasticsearch", native(), index="pixsim-%Y.%m.%d")

    assert "pixsim-2025.11.13" == action["create"]["_index"]


def test_splunk():
    """
    A record is an event; all but its text, time, host and source are flat fields of text.
    """
    first, second = lines("splunk_hec", native(), otlp(), index="main")

    assert {
        "time": 1763035200.0,
        "source": "worker",
        "sourcetype": "otel",
        "index": "main",
        "event": "slow",
        "fields": {
            "service": "worker",
            "env": "dev",
            "otel.log.severity.text": "WARNING",
            "otel.log.severity.number": "13",
            "trace_id": "not hex",
            "time_unix_nano": "1763035200000000000",
            "log.record.uid": "7-1763035200000000000-f0653d18",
            "request_id": "r-1",
            "job_id": "42",
            "duration_ms": "1500.5",
            "job.id": "42",
            "status": "500",
            "tags": ["a", "1", ""],
            "empty": "",
        },
    } == first
    assert (1763035200.123, "web-1") == (second["time"], second["host"])
    assert {
        "deep.a.b": "1",
        "scope.deep.a.b": "2",
        "nan": "NaN",
        "raw": "aGk=",
        "attributes._msg": "of the sender",
        "attributes.service": "another",
        "observed_time_unix_nano": "1763035201000000001",
        "service.version": "1.2",
    }.items() <= second["fields"].items()


@pytest.mark.parametrize("message", [None, "", " \n"])
def test_splunk_gets_no_blank_event(message):
    """
    A record without a text, which Splunk would refuse, has its fields for one.
    """
    [event] = lines("splunk_hec", stored(msg=message))

    assert event["fields"] == event["event"]


def test_datadog():
    """
    A record is a log with Datadog's own properties; attributes never stand in their places.
    """
    [[first, second]] = lines("datadog", native(), otlp(), tags=("team:video",))

    assert {
        "message": "slow",
        "ddsource": "otel",
        "ddtags": "env:dev,team:video",
        "service": "worker",
        "status": "warn",
        "timestamp": 1763035200000,
        "timestamp_unix_nano": "1763035200000000000",
        "level": "WARNING",
        "otel.trace_id": "not hex",
        "log.record.uid": "7-1763035200000000000-f0653d18",
        "request_id": "r-1",
        "job_id": 42,
        "duration_ms": 1500.5,
        "job.id": "42",
        "attributes.status": 500,
        "tags": ["a", 1, None],
        "empty": None,
    } == first
    assert {
        "ddtags": "env:prod,version:1.2,team:video",
        "hostname": "web-1",
        "status": "error",
        "timestamp": 1763035200123,
        "otel.trace_id": "0af7651916cd43dd8448eb211c80319c",
        "otel.span_id": "b7ad6b7169203331",
        "dd.trace_id": "9532127138774266268",
        "dd.span_id": "13235353014750950193",
        "attributes.service": "another",
    }.items() <= second.items()


def test_loki():
    """
    A stream has few labels and is in the order of time; all else is metadata, clean and flat.
    """
    late, early = stored(id=2, msg="b", timestamp_ns=2), stored(id=3, msg="a", timestamp_ns=1)
    [push] = lines("loki", late, early, otlp(), static_labels={"job": "pixsim"})

    labels = {"job": "pixsim", "service_name": "api", "env": "dev", "level": "info"}
    assert {
        "stream": labels,
        "values": [
            [
                f"176303520000000000{ns}",
                text,
                {
                    "severity_text": "INFO",
                    "severity_number": "9",
                    "log_record_uid": f"{number}-176303520000000000{ns}-{contents}",
                },
            ]
            for ns, text, number, contents in [(1, "a", 3, "8cafe9e7"), (2, "b", 2, "15a6b85d")]
        ],
    } == push["streams"][0]
    assert {
        "stream": labels | {"env": "prod", "level": "error"},
        "values": [
            [
                "1763035200123456789",
                '{"code":7}',
                {
                    "host": "web-1",
                    "trace_id": "0af7651916cd43dd8448eb211c80319c",
                    "span_id": "b7ad6b7169203331",
                    "severity_text": "Error",
                    "severity_number": "17",
                    "observed_timestamp": "2025-11-13T12:00:01.000000001Z",
                    "log_record_uid": "8-1763035200123456789-3ccad190",
                    "instance_id": "api-1",
                    "event_name": "render.failed",
                    "error": "no such file",
                    "error_type": "OSError",
                    "deep_a_b": "1",
                    "nan": "NaN",
                    "raw": "aGk=",
                    "odd_x": "true",
                    "_msg": "of the sender",
                    "attributes_service": "another",
                    "_n_c_de": "é",
                    "attribute": "nameless",
                    "body_code": "7",
                    "otel_dropped_attributes_count": "3",
                    "otel_scope_name": "lib",
                    "otel_scope_version": "3",
                    "scope_deep_a_b": "2",
                    "service_version": "1.2",
                    "flags": "257",
                },
            ]
        ],
    } == push["streams"][1]


def test_loki_labels_from_columns():
    """
    A column that is a label is not metadata too.
    """
    record = stored(msg="a", instance_id="api-1", channel="cron")
    [push] = lines("loki", record, labels=("instance_id", "channel"))

    assert {"instance_id": "api-1", "channel": "cron"} == push["streams"][0]["stream"]
    metadata = push["streams"][0]["values"][0][2]
    assert {"service": "api", "env": "dev"}.items() <= metadata.items()
    assert {"instance_id", "channel"}.isdisjoint(metadata)


def test_victorialogs():
    """
    A record is a line of flat fields, none of which is taken for one of VictoriaLogs' own.
    """
    first, second = lines("victorialogs", native(), otlp())

    assert {
        "_time": "2025-11-13T12:00:00.000000000Z",
        "_msg": "slow",
        "level": "WARNING",
        "severity": "warn",
        "severity_number": 13,
        "service": "worker",
        "env": "dev",
        "trace_id": "not hex",
        "log.record.uid": "7-1763035200000000000-f0653d18",
        "request_id": "r-1",
        "job_id": 42,
        "duration_ms": 1500.5,
        "job.id": "42",
        "status": 500,
        "tags": ["a", 1, None],
    } == first
    assert {
        "_time": "2025-11-13T12:00:00.123456789Z",
        "observed_timestamp": "2025-11-13T12:00:01.000000001Z",
        "host": "web-1",
        "deep.a.b": 1,
        "scope.deep.a.b": 2,
        "attributes._msg": "of the sender",
        "attributes.service": "another",
        "ünï côde": "é",
        "otel.scope.name": "lib",
    }.items() <= second.items()


LONG = "x" * 1_100_000


@pytest.mark.parametrize(
    ("name", "fields", "reason"),
    [
        ("datadog", {"msg": LONG}, r"11\d{5} bytes, the most is 1000000"),
        ("loki", {"msg": LONG}, "1100000 bytes of text, the most is 262144"),
        ("loki", {"extra": {"a": LONG}}, r"11\d{5} bytes of attributes, the most is 65536"),
        (
            "loki",
            {"extra": dict.fromkeys(map(str, range(130)), "a")},
            r"13\d attributes, the most is 128",
        ),
        ("loki", {"service": "é" * 1_100}, "2200 bytes of label service, the most is 2048"),
        ("loki", {"ahead": 601}, "a time of more than 10 minutes from now"),
        ("loki", {"year": 9999}, "a time that 64 bits of nanoseconds have no room for"),
        ("victorialogs", {"msg": LONG}, r"11\d{5} bytes, the most is 262143"),
        (
            "victorialogs",
            {"extra": dict.fromkeys(map(str, range(1_000)), "a")},
            r"10\d\d attributes, the most is 1000",
        ),
        ("victorialogs", {"extra": {"é" * 65: 1}}, "130 bytes of a name, the most is 128"),
        ("victorialogs", {"ahead": 2 * 86_400 + 1}, "a time of more than 2 days from now"),
        ("victorialogs", {"year": 1969}, "a time before 1970 or after 2262"),
    ],
)
def test_what_a_destination_would_not_take_is_refused_alone(name, fields, reason):
    """
    A record above a limit of its destination is left out, with the reason; the rest is sent.
    """
    bad = stored(**{k: v for k, v in fields.items() if k not in {"ahead", "year"}})
    if "ahead" in fields:
        bad.record.timestamp += fields["ahead"] * SECOND
    if "year" in fields:
        bad.record.timestamp = moment(NOON.replace(year=fields["year"]))

    body = encoded(ENCODERS[name](), native(), bad, otlp())

    [refused] = body.refused
    assert 1 == refused.index
    assert re.fullmatch(reason, refused.reason)
    assert encoded(ENCODERS[name](), native(), otlp()).data == body.data


@pytest.mark.parametrize(("name", "most"), [("splunk_hec", 2), ("datadog", 5), ("loki", 4)])
def test_a_body_above_the_limit_is_halved(name, most):
    """
    A body that is larger than its destination takes is not sent at all, but by halves.
    """
    records = [stored(msg="x" * 200_000) for _ in range(most * 5 + 1)]

    assert isinstance(encoded(ENCODERS[name](), *records), Split)


@settings(max_examples=30, deadline=None)
@given(records=st.lists(any_stored(), min_size=1, max_size=4))
def test_any_record_makes_a_body_that_is_taken(records):
    """
    Whatever is in the table, what is sent of it is what the destination's documentation says.
    """
    for number, each in enumerate(records, 1):
        each.record.id = number
    headers = {"Authorization": "Splunk t0ken", "DD-API-KEY": "k3y"}
    for name, encoder in ENCODERS.items():
        server = SERVERS[name]()

        body = encoded(encoder(), *records)
        assert isinstance(body, Body)
        if len(body.refused) < len(records):
            sent = {"Content-Type": body.content_type, **headers, **body.headers}
            server(Request(body.path, sent, body.data))

        assert [] == server.deviations
        assert len(records) - len(body.refused) == len(server.taken)


def test_a_row_that_no_receiver_of_ours_wrote_holds_nobody_up():
    """
    A record that cannot be encoded is refused alone.
    """
    deep = []
    for _ in range(3_000):
        deep = [deep]
    for name, encoder in ENCODERS.items():
        body = encoded(encoder(), native(), stored(extra={"a": deep}), otlp())

        assert [(1, "it cannot be encoded: RecursionError")] == [
            (each.index, each.reason) for each in body.refused
        ], name


def test_elasticsearch_gets_no_duration_beyond_its_range():
    """
    A duration that 64 bits of nanoseconds have no room for is a label only.
    """
    _, document = lines("elasticsearch", stored(duration_ms=1.7e308))

    assert "duration" not in document["event"]
    assert "1.7e308" == document["labels"]["duration_ms"]
