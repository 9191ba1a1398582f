"""
Where a text may be: the expression of which partitions have an index of trigrams.

An index that every insert pays for would divide their rate by five, so `storage.sealing`
builds one of each day that is over, and meanwhile one of each part of the day that is over.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import msgspec

from storage.where import joined

if TYPE_CHECKING:
    from storage.where import Where

# What a text search looks through, besides `extra`.
SEARCHED = (
    "msg",
    "error",
    "error_type",
    "stage",
    "operation_type",
    "provider_id",
    "domain",
    "channel",
)
# All of it as one text in lower case. `extra` stands in it as JSON, keys and all, so that it
# tells only where to look.
LOG_TEXT = f"log_text({', '.join(SEARCHED)}, extra)"
SHORTEST = 3  # characters of a trigram; a shorter text is looked for row by row

PART = dt.timedelta(hours=3)  # a day has a whole number of them
# After its end a day should soon have an index of its own; its parts are asked no longer.
OVER = dt.timedelta(hours=3)
# Times near these limits are no clock's; they come in made-up cursors.
EARLIEST = dt.datetime(1970, 1, 2, tzinfo=dt.UTC)
LATEST = dt.datetime(9999, 1, 1, tzinfo=dt.UTC)
MOST = 30  # arguments of a search; one of more texts than these is not asked part by part


def may_contain(found: Where, text: str, pattern: str, now: dt.datetime) -> list[str]:
    """
    Give conditions, if any, by which an index finds all that contains *text* in any case.

    *pattern* is the placeholder of *text* as a pattern, *now* the time of the search.
    """
    if len(text) < SHORTEST:
        return []
    patterns = [pattern]
    if (written := as_json(text)) != text:
        patterns.append(found.bind(containing(written)))
    lower = 'lower(lower({}::text COLLATE "C") COLLATE "default") COLLATE "C"'
    there = joined("OR", [f'{LOG_TEXT} COLLATE "C" LIKE {lower.format(p)}' for p in patterns])
    # The recent day part by part: by the part's index where there is one, else by time.
    (first, _), *_ = recent = parts(now)
    if len(recent) == 1 or len(found.arguments) > MOST:
        return [there]
    times = [f"timestamp < {literal(first)}", f"timestamp >= {literal(recent[-1][0])}"]
    times += [f"{within(*part)} AND ({there})" for part in recent[:-1]]
    return [there, joined("OR", times)]


def parts(now: dt.datetime) -> list[tuple[dt.datetime, dt.datetime]]:
    """Give the parts, from start to end, of the days not long over; the last is not over."""
    now = min(max(now, EARLIEST), LATEST)
    start = (now - OVER).astimezone(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return [(start + n * PART, start + (n + 1) * PART) for n in range((now - start) // PART + 1)]


def within(start: dt.datetime, end: dt.datetime) -> str:
    """Give the condition of a part; an index's must be the same, and without arguments."""
    return f"timestamp >= {literal(start)} AND timestamp < {literal(end)}"


def literal(time: dt.datetime) -> str:
    """Give an aware time as a constant."""
    return f"'{time.isoformat()}'::timestamptz"


def containing(text: str) -> str:
    """Give the pattern of what contains *text*."""
    for special in ("\\", "%", "_"):
        text = text.replace(special, "\\" + special)
    return f"%{text}%"


def as_json(text: str) -> str:
    """Give *text* as it stands in JSON, without the quotes."""
    return msgspec.json.encode(text)[1:-1].decode()
