"""docs/forwarding.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from collector import configfile
from collector.exporters import datadog, elasticsearch, loki, splunk_hec, victorialogs

DOCS = (Path(__file__).parents[4] / "docs" / "forwarding.md").read_text()
SECTIONS = {
    "Elasticsearch and OpenSearch": elasticsearch.Elasticsearch,
    "Splunk": splunk_hec.SplunkHec,
    "Datadog": datadog.Datadog,
    "Loki": loki.Loki,
    "VictoriaLogs": victorialogs.VictoriaLogs,
}


def section(title):
    return re.search(rf"^## {title}$(.*?)(?=^## |\Z)", DOCS, re.DOTALL | re.MULTILINE).group(1)


@pytest.mark.parametrize(("title", "config"), SECTIONS.items())
def test_keys_of_each_kind(title, config):
    """
    A section's table has the keys that only this kind has, and those with other defaults.
    """
    rows = re.findall(r"^\| (`.*?`) \|", section(title), re.MULTILINE)
    documented = set(re.findall(r"`(\w+)`", " ".join(rows)))

    assert config.__annotations__.keys() == documented


@pytest.mark.parametrize(("title", "config"), SECTIONS.items())
def test_examples(title, config):
    """
    The least that a destination needs, as it is shown, is a whole configuration.
    """
    text = re.search(r"```yaml\n(.*?)```", section(title), re.DOTALL).group(1)
    environ = dict.fromkeys(re.findall(r"\$\{env:(\w+)\}", text), "s3cret")

    found = configfile.parse(text, "forwarding.md", environ)

    assert [] == found.warnings
    assert [config] == [type(each) for each in found.config.exporters.values()][1:]
