"""The client library's README says what its code does."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from pixsim_otel import drops, limits, settings
from pixsim_otel.native import PixsimLogExporter
from pixsim_otel.otlp import OTLPLogExporter
from pixsim_otel.postgres import PostgresLogExporter

README = (Path(__file__).parents[3] / "exporter" / "README.md").read_text()
SETTINGS = README[README.index("## Settings") : README.index("## What is promised")]
TABLES = "\n".join(line for line in SETTINGS.splitlines() if line.startswith("| "))

# Read by the SDK.
LIMITS = {
    "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_ATTRIBUTE_COUNT_LIMIT",
}


class Asked(dict):
    """An environment that knows which variables it was asked for."""

    def __init__(self, **variables):
        super().__init__(variables)
        self.names = set()

    def get(self, name, default=None):
        self.names.add(name)
        return super().get(name, default)

    def __getitem__(self, name):
        self.names.add(name)
        return super().__getitem__(name)

    def __contains__(self, name):
        self.names.add(name)
        return super().__contains__(name)


def test_every_variable(monkeypatch):
    """
    README's settings are all variables that are read, and no other.
    """
    url = "http://127.0.0.1:1"
    everything = [Asked(), Asked(OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=url)]
    for asked in everything:
        settings.read(environ=asked)
        settings.domains(asked)
        limits.read_queue(environ=asked)
    monkeypatch.setattr(os, "environ", everything[0])
    OTLPLogExporter()
    PixsimLogExporter(url)
    PostgresLogExporter("postgresql://127.0.0.1/logs")
    names = set().union(*(asked.names for asked in everything))
    expected = {name.replace("OTLP_LOGS_", "OTLP_") for name in names} | LIMITS
    shown = re.findall(r"`((?:OTEL|PIXSIM|LOG|DATABASE|SERVICE)_[A-Z_]+)[`=]", SETTINGS)

    assert expected == {name.replace("OTLP_LOGS_", "OTLP_") for name in shown}


@pytest.mark.parametrize(
    ("name", "default"),
    [
        ("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", limits.QUEUE.batch_records),
        ("OTEL_BLRP_SCHEDULE_DELAY", round(limits.QUEUE.batch_seconds * 1000)),
        ("OTEL_BLRP_MAX_QUEUE_SIZE", limits.QUEUE.queue_records),
        ("OTEL_BLRP_EXPORT_TIMEOUT", round(limits.QUEUE.flush_seconds * 1000)),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", limits.VALUES.text),
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", limits.VALUES.attributes),
    ],
)
def test_defaults(name, default):
    """
    A variable's row has its default.
    """
    row = next(line for line in TABLES.splitlines() if f"`{name}`" in line)

    assert str(default) == row.split("|")[2].strip()


def test_reasons():
    """
    The reasons for which records are dropped are all told.
    """
    table = README[README.index("| reason |") :].split("\n\n", 1)[0]

    assert sorted(drops.REASONS) == sorted(re.findall(r"^\| `(\w+)`", table, re.MULTILINE))
