"""The story of a job, a request or a trace: its records with the time between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from collector.terminal.lines import IDS, duration, level, moment, said, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LEAST_GAP = 1.0  # seconds; a pause is shown from here on, and from a share of the whole
GAP_SHARE = 0.05
ERROR = 17  # the least severity number of one


def timeline(what: str, found: Sequence[dict[str, Any]]) -> Iterator[Text]:
    """
    Give the lines of *what*, such as ``job 123``, whose records *found* are in order of time.

    Each shows the seconds since the first, and the ids that are new; a pause that is long for
    this story has a line of its own.
    """
    start, end = moment(found[0]), moment(found[-1])
    whole = (end - start).total_seconds()
    yield _head(what, found)
    least = max(LEAST_GAP, whole * GAP_SHARE)
    width = max(len(shown(entry["service"])) for entry in found)
    before = start
    told_ids: dict[str, object] = {}
    for entry in found:
        now = moment(entry)
        # An id is told where it first appears, and where it changes.
        ids = [name for name in IDS if entry.get(name) not in {None, told_ids.get(name)}]
        told_ids |= {name: entry[name] for name in ids}
        if (gap := (now - before).total_seconds()) >= least:
            yield Text(f"{'':>11}  ┄┄ {duration(gap)} ┄┄", style="dim")
        before = now
        yield Text.assemble(
            (f"{(now - start).total_seconds():>+11.3f}", "dim"),
            "  ",
            level(entry),
            " ",
            (f"{shown(entry['service']):{width}}", "cyan"),
            "  ",
            said(entry, ids=ids),
        )


def _head(what: str, found: Sequence[dict[str, Any]]) -> Text:
    start, end = moment(found[0]), moment(found[-1])
    services = list(dict.fromkeys(shown(entry["service"]) for entry in found))
    errors = sum((entry.get("severity_number") or 0) >= ERROR for entry in found)
    parts = [
        shown(what),
        _count(len(found), "record"),
        ", ".join(services),
        f"{start:%Y-%m-%d %H:%M:%S} UTC, {duration((end - start).total_seconds())}",
    ]
    head = Text(" · ".join(parts), style="bold")
    if errors:
        head.append(f" · {_count(errors, 'error')}", style="bold red")
    return head


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
