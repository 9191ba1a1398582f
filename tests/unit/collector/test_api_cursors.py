"""Cursors as text."""

from __future__ import annotations

import base64
import datetime as dt
import json

import pytest

from collector.api import cursors
from collector.search.mistakes import Unfit
from storage.pages import Cursor

CURSOR = Cursor(
    newer=False,
    timestamp="2025-11-13T12:00:00.000005Z",
    id=7,
    now=dt.datetime(2025, 11, 13, 12, tzinfo=dt.UTC),
    snapshot="10:20:11,15",
    total=None,
)
SHOWN = [False, "2025-11-13T12:00:00.000005Z", 7, "2025-11-13T12:00:00Z", "10:20:11,15", None]


def encoded(body):
    return base64.urlsafe_b64encode(body).rstrip(b"=").decode()


def test_there_and_back():
    """
    A cursor is text that stands in a URL as it is, and reads as the same cursor.
    """
    text = cursors.written(CURSOR)

    assert CURSOR == cursors.read(text)
    assert encoded(json.dumps(SHOWN, separators=(",", ":")).encode()) == text
    assert text.replace("-", "").replace("_", "").isalnum()
    assert cursors.written(None) is None


def changed(place, value):
    return encoded(json.dumps([*SHOWN[:place], value, *SHOWN[place + 1 :]]).encode())


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "ä",
        "====",
        encoded(b""),
        encoded(b"{}"),
        encoded(b"\xff"),
        encoded(json.dumps(SHOWN[:-1]).encode()),
        changed(1, "soon"),
        changed(1, "2025-11-13T12:00:00'--Z"),
        changed(2, 2**63),
        changed(3, "2025-11-13T12:00:00"),
        changed(4, ""),
        changed(4, "20:10:"),
        changed(4, "0:0:"),
        changed(4, "10:20:21"),
        changed(4, "10:20:15,12"),
        changed(4, "10:99999999999999999999:"),
        changed(5, 2**63),
    ],
)
def test_no_cursor(text):
    """
    What no answer can have given is refused.
    """
    with pytest.raises(Unfit, match="a cursor that an answer gave"):
        cursors.read(text)
