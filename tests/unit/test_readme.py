"""README says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client import Counter, Gauge

from collector import telemetry
from collector.correlation import DEFAULTS

README = Path(__file__).parents[2].joinpath("README.md").read_text()


def section(name):
    return re.search(rf"<!-- {name}:.*?-->\n(.*?)<!-- /{name} -->", README, re.DOTALL).group(1)


def table(*rows):
    head, *rest = ("| " + " | ".join(row) + " |" for row in rows)
    rule = "| " + " | ".join("---" for _ in rows[0]) + " |"
    return "\n".join((head, rule, *rest)) + "\n"


def columns():
    rows = ((f"`{c}`", ", ".join(f"`{n}`" for n in names)) for c, names in DEFAULTS.items())
    return table(("column", "OTLP attributes, in order of precedence"), *rows)


def counters():
    found = [c for c in vars(telemetry).values() if hasattr(c, "_documentation")]
    rows = (
        (
            f"`{c._name}{'_total' if isinstance(c, Counter) else ''}`",
            ", ".join(f"`{label}`" for label in c._labelnames),
            c._documentation,
        )
        for c in found
    )
    return table(("name", "labels", "meaning"), *rows)


@pytest.mark.parametrize(("name", "expected"), [("columns", columns), ("counters", counters)])
def test_tables(name, expected):
    """
    The tables of README are those of the code.
    """
    assert expected() == section(name)


def test_gauges_are_of_processes_that_run():
    """
    A gauge is the sum of all worker processes that run; a dead one's is no longer in it.
    """
    gauges = [c for c in vars(telemetry).values() if isinstance(c, Gauge)]

    assert gauges
    assert {"livesum"} == {gauge._multiprocess_mode for gauge in gauges}
