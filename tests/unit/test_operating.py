"""The alert rules and the dashboard that we ship name what there is, and the document explains it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml

from collector import configfile, service, telemetry

DOCS = Path(__file__).parents[2] / "docs"
RULES = [
    rule
    for group in yaml.safe_load((DOCS / "prometheus/pixsim-collector.rules.yml").read_text())[
        "groups"
    ]
    for rule in group["rules"]
]
DASHBOARD = json.loads((DOCS / "grafana/pixsim-collector.json").read_text())
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
QUERIES += [rule["expr"] for rule in RULES]
SUFFIXES = {"counter": [""], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"]}


def exposed():
    """The names of all samples that /metrics may have."""
    types = re.findall(r"^# TYPE (\w+) (\w+)$", telemetry.exposed().decode(), re.MULTILINE)
    return {name + suffix for name, kind in types for suffix in SUFFIXES.get(kind, [])}


def labels():
    """The names of all labels, with those that Prometheus adds."""
    found = {
        label for each in vars(telemetry).values() for label in getattr(each, "_labelnames", ())
    }
    return found | {"instance", "job", "le"}


def test_every_metric_exists():
    """
    The rules and the dashboard ask for metrics that /metrics has, by labels that these have.
    """
    text = "\n".join(QUERIES)
    asked = set(re.findall(r"\b(?:pixsim|http|db|process)_\w+", text)) - labels()
    by = {name for names in re.findall(r"by \(([^)]*)\)", text) for name in names.split(", ")}
    matched = set(re.findall(r"[{,](\w+)(?:=|!=|=~)\"", text))

    assert len(asked) > 25
    assert set() == asked - exposed()
    assert set() == (by | matched) - labels()


def test_every_alert_is_explained():
    """
    Each alert has a severity, a summary and a section of docs/operating.md, and each section one.
    """
    sections = re.findall(r"^### (\w+)$", (DOCS / "operating.md").read_text(), re.MULTILINE)

    assert [rule["alert"] for rule in RULES] == sections
    for rule in RULES:
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"]["summary"]


def test_connections():
    """
    docs/scaling.md has the number of connections that the collector counts for itself.
    """
    text = """
service: {workers: 4}
exporters:
  postgres: {dsn: "postgresql://h/d"}
  loki: {endpoint: "http://a"}
  otlphttp: {endpoint: "http://b"}
"""
    config = configfile.parse(text, "c", {}).config
    number = service.connections(config)
    behind = configfile.parse(
        text.replace("{dsn:", '{direct_dsn: "postgresql://s/d", dsn:'), "c", {}
    )
    told = " ".join((DOCS / "scaling.md").read_text().split())

    assert f"Four workers with two destinations have {number}," in told
    assert f"{service.lent(config) // 4} of a worker's 16 are the pooler's" in told
    assert number == service.connections(behind.config) + service.lent(behind.config)


def test_dashboard():
    """
    The panels have numbers of their own, don't overlap, and ask the data source that is chosen.
    """
    panels = DASHBOARD["panels"]
    places = [
        (x, y)
        for panel in panels
        for grid in (panel["gridPos"],)
        for x in range(grid["x"], grid["x"] + grid["w"])
        for y in range(grid["y"], grid["y"] + grid["h"])
    ]

    assert len(panels) == len({panel["id"] for panel in panels})
    assert len(places) == len(set(places))
    assert {"${prometheus}"} == {panel["datasource"]["uid"] for panel in panels}
