"""Levels that change while a service runs."""

from __future__ import annotations

import logging

import pytest
import structlog
from pixsim_otel import domains


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    monkeypatch.setattr(domains, "_now", domains._Thresholds())
    monkeypatch.setattr(domains, "_seen", set())
    level = logging.getLogger().level
    yield
    logging.getLogger().setLevel(level)


def passes(**event):
    try:
        return domains.filter_levels(None, "info", event) is event
    except structlog.DropEvent:
        return False


def test_all_pass_at_first():
    """Nothing is filtered until a level is set."""
    assert passes(level="debug", domain="cron")


@pytest.mark.parametrize(
    ("level", "expected"),
    [("debug", False), ("info", False), ("warning", True), ("critical", True)],
)
def test_global_level(level, expected):
    """Events below the global level are dropped, and `logging` follows it."""
    domains.update_global_level("Warning")

    assert expected == passes(level=level)
    assert logging.getLogger().level == logging.WARNING
    assert domains.get_global_level_display() == "WARNING"


def test_domain_levels():
    """A domain's level is for its events only, however its name is written."""
    domains.update_domain_config({"localFolders": "ERROR", "cron": "off"})

    assert not passes(level="info", domain="localFolders")
    assert passes(level="error", domain="localFolders")
    assert not passes(level="critical", domain="cron")
    assert passes(level="debug", domain="sql")
    assert passes(level="debug")
    assert {"localfolders": "ERROR", "cron": "OFF"} == domains.get_domain_config_display()


def test_domains_are_cleared():
    """An empty configuration lets all domains pass again."""
    domains.update_domain_config({"cron": "OFF"})
    domains.update_domain_config({})

    assert passes(level="debug", domain="cron")


def test_what_is_no_level_changes_nothing():
    """A misspelt level leaves what is in force."""
    domains.update_global_level("ERROR")
    domains.update_global_level("loud")
    domains.set_db_min_level("ERROR")
    domains.set_db_min_level("loud")

    assert domains.get_global_level_display() == "ERROR"
    assert not domains.is_exported(logging.WARNING)


@pytest.mark.parametrize(
    ("domain", "level", "expected"),
    [("sql", "DEBUG", False), ("sql", "WARNING", True), ("cron", "ERROR", False), ("x", "?", True)],
)
def test_is_domain_enabled(domain, level, expected):
    """A domain is enabled at its level and above, one without a level always."""
    domains.update_domain_config({"sql": "WARNING", "cron": "OFF"})

    assert expected == domains.is_domain_enabled(domain, level)


def test_active_domains():
    """Domains are known from their events, whatever else is passed under that name."""
    for domain in ("sql", "cron", "sql", ["no"], 3):
        passes(domain=domain)

    assert ["cron", "sql"] == domains.get_active_domains()
