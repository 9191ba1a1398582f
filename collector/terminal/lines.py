"""A log record as a line of a terminal."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

# What a terminal would obey rather than show: control characters, and those that turn the
# direction of text around.
_ACTIVE = {code: f"\\x{code:02x}" for code in (*range(32), 127, *range(128, 160))} | {
    code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
}
_ACTIVE |= {ord("\n"): "\\n", ord("\t"): "\\t", ord("\r"): "\\r"}

_STYLES = ((21, "bold white on red"), (17, "bold red"), (13, "yellow"), (9, "green"), (1, "dim"))
# Of the ids those that a reader follows, in the order in which they are shown.
IDS = ("job_id", "request_id", "submission_id", "generation_id", "provider_job_id", "user_id")


def shown(value: object) -> str:
    """Give text in which nothing steers the terminal."""
    return str(value).translate(_ACTIVE)


def moment(entry: dict[str, Any]) -> dt.datetime:
    """Give the time of *entry*; one beyond what Python knows is the last that it does."""
    try:
        return dt.datetime.fromisoformat(entry["timestamp"])
    except ValueError:
        return dt.datetime.max.replace(tzinfo=dt.UTC)


def style(entry: dict[str, Any]) -> str:
    """Give the colours of the entry's level."""
    number = entry.get("severity_number") or 0
    return next((style for least, style in _STYLES if number >= least), "")


def level(entry: dict[str, Any]) -> Text:
    """Give the level in its colours, as wide as most are."""
    return Text(f"{shown(entry['level']).upper():8}", style=style(entry))


def line(entry: dict[str, Any], *, ids: Sequence[str] = IDS) -> Text:
    """Give the line of *entry*: time, level, service, stage, message, and what it is about."""
    return Text.assemble(
        (shown(entry["timestamp"]).replace("T", " ").removesuffix("Z")[:-3], "dim"),
        " ",
        level(entry),
        " ",
        (shown(entry["service"]), "cyan"),
        " ",
        said(entry, ids=ids),
    )


def said(entry: dict[str, Any], *, ids: Sequence[str] = IDS) -> Text:
    """Give the message of *entry*, and the fields that matter beside it."""
    found = Text()
    message = entry.get("msg") or entry.get("event_name") or "-"
    if (stage := entry.get("stage")) and stage != message:
        found.append(f"{shown(stage)} ", style="magenta")
    found.append(shown(message))
    for name in ids:
        if (value := entry.get(name)) is not None:
            found.append(f" {name}=", style="dim")
            found.append(shown(value))
    if (attempt := entry.get("attempt")) is not None:
        found.append(f" attempt={attempt}", style="dim")
    if (took := entry.get("duration_ms")) is not None:
        found.append(f" [{duration(took / 1000)}]", style="bold")
    if error := entry.get("error"):
        kind = f"{shown(entry['error_type'])}: " if entry.get("error_type") else ""
        found.append(f" {kind}{shown(error)}", style="red")
    return found


def duration(seconds: float) -> str:
    """Give a time span as people say it: ``820 ms``, ``4.2 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"
