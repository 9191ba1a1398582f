"""What the configuration may say of how long records are kept, and what that means."""

from __future__ import annotations

import datetime as dt

import pytest

from collector import configfile
from collector.exporters.retention import Retention, Rule
from storage.retention import Policy
from storage.search import AnyOf, Equals, Present, Severity, both

TODAY = dt.date(2025, 11, 13)


def problems(rule):
    with pytest.raises(configfile.Invalid) as caught:
        configfile.parse(f"exporters: {{postgres: {{retention: {{rules: [{rule}]}}}}}}", "c", {})
    return caught.value.lines


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        pytest.param({"service": "api"}, Equals("service", ("api",)), id="service"),
        pytest.param({"env": ""}, Equals("env", ("",)), id="empty"),
        pytest.param({"level": "warn"}, Severity(13, 16), id="a band"),
        pytest.param({"min_level": "ERROR"}, Severity(17, None), id="least"),
        pytest.param({"max_level": "debug"}, Severity(1, 8), id="most, and no unknown level"),
        pytest.param({"min_level": "info", "max_level": "warning"}, Severity(9, 16), id="both"),
        pytest.param(
            {"env": "prod", "search": "a:1 OR b:*"},
            both(Equals("env", ("prod",)), AnyOf((Equals("extra.a", ("1",)), Present("extra.b")))),
            id="search",
        ),
    ],
)
def test_conditions(rule, expected):
    """
    A rule is for the records that meet all it says.
    """
    assert expected == Rule(**rule, days=1).wanted


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        pytest.param(
            "{days: 3}",
            "expected at least one of service, env, level, min_level, max_level, search",
            id="no condition",
        ),
        pytest.param("{level: loud, days: 3}", "level: expected one of trace, debug,", id="level"),
        pytest.param(
            "{search: 'a:(', days: 3}", "search: column 3: expected ", id="a mistake in the search"
        ),
    ],
)
def test_problems(rule, expected):
    """
    What a rule can't say is told as a problem of that rule.
    """
    (line,) = problems(rule)

    assert line.startswith(f"c:1: exporters.postgres.retention.rules[0]: {expected}")


def test_a_rule_says_for_how_long():
    """
    A rule without a time is a mistake.
    """
    assert "days" in problems("{service: api}")[0]


def test_policy():
    """
    0 is for ever, or no limit; a rule is called what was written.
    """
    rules = (Rule(service="a", level="debug", days=3), Rule(search="x:1", days=0))
    policy = Retention(days=30, rules=rules).policy
    everything = Retention().policy

    assert [("service: a, level: debug", 3), ("search: x:1", None), ("all others", 30)] == [
        (each.name, each.days) for each in policy.classes
    ]
    assert policy.max_bytes is None
    assert Policy() == everything
    assert (None, None) == (policy.longest, everything.longest)
    assert everything.expired(dt.date(1, 1, 1), TODAY) == {}


@pytest.mark.parametrize(
    ("age", "expected"),
    [(3, set()), (4, {0}), (30, {0}), (31, {0, 2}), (365, {0, 2}), (366, {0, 1, 2})],
)
def test_a_day_is_kept_whole(age, expected):
    """
    What is kept for n days is kept for n whole days beside today.
    """
    rules = (Rule(level="debug", days=3), Rule(min_level="error", days=365))
    policy = Retention(days=30, rules=rules).policy

    assert expected == policy.expired(TODAY - dt.timedelta(days=age), TODAY).keys()
    assert policy.longest == 365
