"""Cursors as the text that a reader gets and gives back: nobody else need know what it says."""

from __future__ import annotations

import base64
import binascii
import itertools
import re

import msgspec

from collector.search.mistakes import Unfit
from collector.search.values import INT64
from storage.pages import Cursor

_TIMESTAMP = re.compile(r"-?infinity|[0-9]{4,6}-[0-9]{2}-[0-9]{2}[T ][0-9:.]{8,15}(Z|\+00)( BC)?")
_SNAPSHOT = re.compile(r"([0-9]{1,19}):([0-9]{1,19}):((?:[0-9]{1,19}(?:,[0-9]{1,19})*)?)")


def written(cursor: Cursor | None) -> str | None:
    """Give the text of a cursor."""
    if cursor is None:
        return None
    return base64.urlsafe_b64encode(msgspec.json.encode(cursor)).rstrip(b"=").decode()


def read(text: str) -> Cursor:
    """
    Give the cursor that *text* is.

    Raises:
        Unfit: no answer has ever had it.
    """
    try:
        body = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        cursor = msgspec.json.decode(body, type=Cursor)
    except (binascii.Error, ValueError):  # of which msgspec's is one
        raise Unfit("a cursor that an answer gave") from None
    if not _possible(cursor):
        raise Unfit("a cursor that an answer gave")
    return cursor


def _possible(cursor: Cursor) -> bool:
    numbers = cursor.id, cursor.total or 0
    snapshot = _SNAPSHOT.fullmatch(cursor.snapshot)
    if snapshot is None or not _TIMESTAMP.fullmatch(cursor.timestamp):
        return False
    lowest, highest = int(snapshot[1]), int(snapshot[2])
    running = [int(each) for each in snapshot[3].split(",") if each]
    rising = all(a < b for a, b in itertools.pairwise((lowest - 1, *running, highest)))
    return (
        all(-INT64 - 1 <= number <= INT64 for number in numbers)
        and cursor.now.tzinfo is not None
        and 0 < lowest <= highest
        and (rising or not running)
    )
