"""Records of `logging`, on the way that events go."""

from __future__ import annotations

import datetime as dt
import json
import logging

import pytest
import structlog
from pixsim_otel import exceptions, stdlib
from pixsim_otel.console import JSONRenderer
from pixsim_otel.filters import Filter
from pixsim_otel.redaction import Redaction


@pytest.fixture(autouse=True)
def _fields():
    original = logging.Logger._log
    stdlib.accept_fields()
    yield
    logging.Logger._log = original


def apart(name="x"):
    """Make a logger that has no part in the tree of loggers."""
    return logging.Logger(name)  # noqa: LOG001


@pytest.fixture
def events():
    return []


@pytest.fixture
def logger(events):
    """A logger whose records go through our processors to `events`."""

    def keep(_logger, _method, event):
        events.append(dict(event))
        return event

    made = apart("arq.worker.main")
    made.addHandler(stdlib.OTelHandler([Filter(), Redaction(), exceptions.render_exception, keep]))
    return made


def test_event(logger, events):
    """Message, level, time and the logger's name make an event."""
    before = dt.datetime.now(dt.UTC)
    logger.warning("saved %d of %s", 5, "x", extra={"asset_id": 7})

    (event,) = events
    assert before <= dt.datetime.fromisoformat(event.pop("timestamp")) <= dt.datetime.now(dt.UTC)
    assert {
        "event": "saved 5 of x",
        "level": "warning",
        "logger_name": "arq.worker.main",
        "service": "worker.main",
        "asset_id": 7,
    } == event


@pytest.mark.parametrize(
    ("name", "service", "domain"),
    [
        ("uvicorn", "uvicorn", None),
        ("sqlalchemy.engine", "sqlalchemy.engine", "sql"),
        ("alembic.runtime.migration", "runtime.migration", "sql"),
        ("sqlalchemyx", "sqlalchemyx", None),
    ],
)
def test_service_and_domain(name, service, domain):
    """A library's lines are told by its logger's name, those of SQL by their domain too."""
    event = stdlib.as_event(logging.makeLogRecord({"name": name, "msg": "x", "levelname": "INFO"}))

    assert (service, domain) == (event["service"], event.get("domain"))


def test_extra_goes_first():
    """What the caller says of service, domain and logger is not overruled."""
    said = {"service": "a", "domain": "b", "logger_name": "c"}
    event = stdlib.as_event(logging.makeLogRecord({"name": "sqlalchemy", "msg": "x", **said}))

    assert said == {key: event[key] for key in said}


def test_secrets_are_masked(logger, events):
    """Secrets are masked as in structlog's events."""
    logger.info("x", extra={"headers": {"Authorization": "Bearer"}})

    assert {"Authorization": "***redacted***"} == events[0]["headers"]


def test_filters_apply(logger, events):
    """A processor may drop a record."""
    logger.info("http_request", extra={"path": "/health"})
    logger.info("http_request", extra={"path": "/other"})

    assert ["/other"] == [event["path"] for event in events]


def test_fields(logger, events):
    """Loggers of `logging` may be called as structlog's are."""
    logger.error("failed", asset_id=5, error="no", created="yesterday", extra={"x": 1})

    assert {"asset_id": 5, "error": "no", "extra_created": "yesterday", "x": 1}.items() <= events[
        0
    ].items()


def test_extra_never_collides(logger, events):
    """A field that a record has itself is renamed, not refused."""
    logger.info("x", extra={"name": "kit", "message": "m"})  # noqa: G101

    assert ("kit", "m") == (events[0]["extra_name"], events[0]["extra_message"])


def test_caller_is_found():
    """The caller of a record is who called the logger."""
    records = []
    logger = apart()
    logger.addHandler(type("Keep", (logging.Handler,), {"emit": lambda _, r: records.append(r)})())

    logger.info("x")
    logger.info("x", field=1)

    assert {"test_caller_is_found"} == {record.funcName for record in records}


def test_exceptions(logger, events):
    """An exception is rendered once, with its type."""
    try:
        raise ValueError("no")
    except ValueError:
        logger.exception("failed")

    assert events[0]["exception"].type == "ValueError"
    assert "exc_info" not in events[0]


def test_stack(logger, events):
    """A stack that was asked for is told."""
    logger.info("x", stack_info=True)

    assert "test_stack" in events[0]["stack"]


def test_arguments_that_do_not_fit(logger, events):
    """A message whose arguments don't fit is told without them."""
    logger.info("%d of %d", 5)  # noqa: PLE1206

    assert events[0]["event"] == "%d of %d"


def test_console(capsys):
    """With a renderer the line goes to stderr; a dropped record leaves none."""
    logger = apart()
    logger.addHandler(stdlib.OTelHandler([Filter()], JSONRenderer()))

    logger.info("http_request", extra={"path": "/health"})
    logger.info("kept")

    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["event"] == "kept"


def test_errors_are_handlers_errors(capsys):
    """A broken processor costs the record, not the log call; `logging` tells of it."""

    def broken(_logger, _method, _event):
        raise RuntimeError("broken")

    logger = apart()
    logger.addHandler(stdlib.OTelHandler([broken]))
    logger.info("x")

    assert "RuntimeError: broken" in capsys.readouterr().err


def test_context_is_merged():
    """What is bound to the context is said by libraries too."""
    events = []
    logger = apart()
    logger.addHandler(
        stdlib.OTelHandler(
            [structlog.contextvars.merge_contextvars, lambda *a: events.append(a[2]) or a[2]]
        )
    )
    with structlog.contextvars.bound_contextvars(request_id="r", service="no"):
        logger.info("x")

    assert ("r", "x") == (events[0]["request_id"], events[0]["service"])
