"""Small makers of test data: defaults everywhere, so that a test shows what matters."""

from __future__ import annotations

import datetime as dt

from storage.moments import moment
from storage.records import TIMES, Batch, LogRecord

NOON = dt.datetime(2025, 11, 13, 12, tzinfo=dt.UTC)


def record(**fields):
    """Make a record of service ``api`` at noon; times may be datetimes."""
    fields = {"timestamp": NOON, "level": "INFO", "service": "api", **fields}
    for name in TIMES:
        if isinstance(fields.get(name), dt.datetime):
            fields[name] = moment(fields[name])
    return LogRecord(**fields)


def batch(*records, **fields):
    """Make a batch of *records*."""
    return Batch(**{"receiver": "test", "sender": "tests", "records": list(records), **fields})
