"""What the destinations can be told in config.yaml."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from collector import configfile
from collector.exporters import datadog, elasticsearch, loki, splunk_hec, victorialogs
from collector.forwarding.settings import HttpForwarder

URL = "http://there:1"
CONFIG_YAML = Path(__file__).parents[4] / "config.yaml"


@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        (elasticsearch.Elasticsearch, {"index": "Logs"}, "index: expected the name of an index"),
        (elasticsearch.Elasticsearch, {"index": "logs-%x"}, "index: expected the name of an index"),
        (elasticsearch.Elasticsearch, {"index": "_logs"}, "index: expected the name of an index"),
        (elasticsearch.Elasticsearch, {"user": "me"}, "user and password belong together"),
        (
            elasticsearch.Elasticsearch,
            {"user": "me", "password": "x", "api_key": "y"},
            "expected api_key, or user and password, found both",
        ),
        (loki.Loki, {"labels": ()}, "labels: expected at least one"),
        (loki.Loki, {"labels": ("env", "env")}, "labels: there twice: env"),
        (loki.Loki, {"static_labels": {"a-b": "x"}}, "static_labels: expected letters"),
        (loki.Loki, {"static_labels": {"__a": "x"}}, "static_labels: expected letters"),
        (loki.Loki, {"static_labels": {"a": ""}}, "static_labels.a: expected 1 to 2048 bytes"),
        (loki.Loki, {"static_labels": {"service_name": "x"}}, "labels: there twice"),
        (
            loki.Loki,
            {"static_labels": {f"l{n}": "x" for n in range(13)}},
            "labels: expected at most 15, with static_labels, found 16",
        ),
    ],
)
def test_mistakes(make, settings, message):
    """
    What cannot work is told when the configuration is read.
    """
    with pytest.raises(ValueError, match=message):
        make(endpoint=URL, **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"site": "https://datadoghq.eu"}, "site: expected a name such as datadoghq.eu"),
        ({"tags": ("a,b",)}, "tags: expected no commas"),
        ({"batch": datadog.Batch(max_records=1_001)}, "batch.max_records: Datadog takes at most"),
    ],
)
def test_mistakes_about_datadog(settings, message):
    """
    What cannot work is told when the configuration is read.
    """
    with pytest.raises(ValueError, match=message):
        datadog.Datadog(api_key="k3y", **settings)


async def test_where_they_send_to_and_as_whom():
    """
    An endpoint may be the server's address or the whole URL; a secret is a header, never shown.
    """
    made = [
        elasticsearch.Elasticsearch(endpoint=URL, api_key="s3cret"),
        elasticsearch.Elasticsearch(endpoint=URL, user="me", password="s3cret"),
        splunk_hec.SplunkHec(endpoint=URL, token="s3cret"),
        splunk_hec.SplunkHec(endpoint=f"{URL}/services/collector", token="s3cret", channel="c"),
        datadog.Datadog(site="datadoghq.eu", api_key="s3cret"),
    ]
    targets = [
        module.target(config)
        for module, config in zip(
            [elasticsearch, elasticsearch, splunk_hec, splunk_hec, datadog], made, strict=True
        )
    ]

    assert all("s3cret" not in repr(config) for config in made)
    headers = [target._headers for target in targets]
    assert "ApiKey s3cret" == headers[0]["Authorization"]
    assert "Basic bWU6czNjcmV0" == headers[1]["Authorization"]
    assert "Splunk s3cret" == headers[2]["Authorization"]
    assert "c" == headers[3]["X-Splunk-Request-Channel"]
    assert "s3cret" == headers[4]["DD-API-KEY"]
    assert "https://http-intake.logs.datadoghq.eu" == targets[4]._config.endpoint
    assert ["/services/collector/event", ""] == [each._encode._path for each in targets[2:4]]


def test_tenants():
    """
    A tenant is a header of each request.
    """
    in_loki = loki.Encoder(loki.Loki(endpoint=URL, tenant_id="team"))
    in_victorialogs = victorialogs.Encoder(
        victorialogs.VictoriaLogs(endpoint=URL, account_id=3, stream_fields=("service", "host"))
    )

    assert {"X-Scope-OrgID": "team"} == in_loki._headers
    assert {"AccountID": "3", "ProjectID": "0"} == in_victorialogs._headers
    assert "/insert/jsonline?_stream_fields=service,host" == in_victorialogs._path


def test_config_yaml():
    """
    config.yaml has every key that only some have, at its default, behind the comment's sign.
    """
    lines = CONFIG_YAML.read_text().splitlines()
    start = lines.index("  # elasticsearch:  # or OpenSearch")
    end = next(place for place in range(start, len(lines)) if not lines[place].startswith("  #"))
    text = "\n".join(["exporters:", "  postgres:", *(f"  {line[4:]}" for line in lines[start:end])])

    environ = {"SPLUNK_HEC_TOKEN": "x", "DD_API_KEY": "y"}
    found = configfile.parse(text, "config.yaml", environ).config.exporters

    for default in (
        elasticsearch.Elasticsearch(endpoint="https://elasticsearch:9200"),
        splunk_hec.SplunkHec(endpoint="https://splunk:8088", token="x"),
        datadog.Datadog(api_key="y"),
        loki.Loki(endpoint="http://loki:3100"),
        victorialogs.VictoriaLogs(endpoint="http://victorialogs:9428"),
    ):
        name = {"SplunkHec": "splunk_hec"}.get(
            type(default).__name__, type(default).__name__.lower()
        )
        assert msgspec.structs.asdict(default) == msgspec.structs.asdict(found[name])
        own = type(default).__struct_fields__[len(HttpForwarder.__struct_fields__) :]
        section = text.partition(f"  {name}:")[2]
        assert all(f"    {key}: " in section for key in (*own, "endpoint"))
