"""What config.yaml may say of forwarders, and what it may not."""

from __future__ import annotations

import pytest

from collector import configfile
from collector.forwarding.attributes import changing
from storage.moments import moment
from storage.records import PROMOTABLE
from storage.stored import Stored
from tests.builders import NOON, record


def parse(text, **environ):
    return configfile.parse(text, "c.yaml", environ)


def problems(text):
    with pytest.raises(configfile.Invalid) as caught:
        parse(text)
    return caught.value.lines


FORWARDERS = "exporters:\n  postgres:\n"


def test_forwarders_are_beside_the_store():
    """
    Any number of exporters send on what the store has; all of them work unless the pipeline names
    some.
    """
    text = f"{FORWARDERS}  otlphttp/a: {{endpoint: 'http://a'}}\n  loki: {{endpoint: 'http://b'}}\n"
    named = "service: {pipelines: {logs: {exporters: [postgres, loki]}}}"

    assert ["otlphttp/a", "loki"] == list(parse(text).config.forwarders)
    assert ["loki"] == list(parse(text + named).config.forwarders)


def test_every_problem_of_forwarders_is_told_at_once():
    """
    What is wrong with forwarders is told by line, all of it, and a mistake in a search by column.
    """
    text = f"""\
{FORWARDERS}
  otlphttp: {{filter: "level>=warning stage:"}}
  loki:
    endpoint: not a URL
    compression: brotli
    start_at: yesterday
  splunk_hec/x: {{endpoint: "http://u:p@x", token: "", tls: {{cert_file: a}}, start_at: then}}
  splunc: {{}}
"""
    told = "\n".join(problems(text))

    for expected in (
        "exporters.otlphttp: filter: column 16: expected a value",
        "exporters.loki.endpoint: expected http://… URL, found 'not a URL'",
        "exporters.loki.compression: expected one of",
        "start_at: expected beginning, now, or an ISO 8601 time, a date or Unix seconds, found 'then'",
        "endpoint: expected no user and password in the URL",
        "tls: cert_file and key_file belong together",
        "exporters.splunc: unknown type of exporter, did you mean splunk_hec?",
    ):
        assert expected in told


def test_secrets_of_forwarders_are_not_shown():
    """
    Neither a listing of the configuration nor a message has a secret of a forwarder.
    """
    text = f"""\
{FORWARDERS}
  otlphttp: {{endpoint: "http://a", headers: {{Authorization: "Bearer ${{env:TOKEN}}"}}}}
  splunk_hec: {{endpoint: "http://a", token: "${{env:TOKEN}}"}}
"""
    config = parse(text, TOKEN="hush").config

    assert "Bearer hush" == config.forwarders["otlphttp"].headers["Authorization"]
    assert "hush" not in configfile.dump(config) + repr(config)
    assert "Authorization: '***'" in configfile.dump(config)


def changed(fields, *, drop=(), rename=None):
    """What *fields* are after the change, those that are none left out."""
    stored = Stored(record(**fields), None, None, moment(NOON), False)
    found = changing(drop, rename or {})(stored).record
    empty = record()
    return {
        name: getattr(found, name)
        for name in ("extra", "user_id", "job_id", "promoted")
        if getattr(found, name) != getattr(empty, name)
    }


@pytest.mark.parametrize(
    ("fields", "changes", "expected"),
    [
        ({"extra": {"a": 1, "b": 2}}, {"drop": ["a"]}, {"extra": {"b": 2}}),
        ({"extra": {"a": 1}}, {"drop": ["a"]}, {}),
        ({"extra": {"a": 1}}, {"rename": {"a": "b"}}, {"extra": {"b": 1}}),
        ({"user_id": 7, "job_id": 1}, {"drop": ["user_id"]}, {"job_id": 1}),
        ({"user_id": 7}, {"rename": {"user_id": "uid"}}, {"extra": {"uid": 7}}),
        ({"job_id": 1}, {"drop": ["user_id", "x"]}, {"job_id": 1}),
        (
            {
                "user_id": 7,
                "job_id": 1,
                "promoted": 0b10000000001 | 1 << PROMOTABLE.index("user_id"),
            },
            {"drop": ["user_id"]},
            {"job_id": 1, "promoted": 0b10000000001},
        ),
    ],
)
def test_attributes_are_dropped_and_renamed(fields, changes, expected):
    """
    An attribute or column is left out of what is sent, or has another name there; a column that is
    renamed becomes an attribute. The record in the table stays as it is.
    """
    assert expected == changed(fields, **changes)


def test_nothing_to_change_costs_nothing():
    """
    Without such settings records are sent as they are read.
    """
    assert changing((), {}) is None
