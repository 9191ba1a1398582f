"""What a reader may ask for, as SQL conditions; values always travel as ``$n``."""

from __future__ import annotations

import datetime as dt  # noqa: TC003  msgspec reads the annotations when the class is made

import msgspec

# The columns a filter may name. An id that was sent as something else than a whole number
# stays in `extra` under its name, and is looked for there.
TEXTS = (
    "service",
    "env",
    "msg",
    "request_id",
    "trace_id",
    "span_id",
    "provider_job_id",
    "provider_id",
    "operation_type",
    "stage",
    "channel",
    "domain",
    "error",
    "error_type",
    "instance_id",
    "event_name",
)
IDS = (
    "job_id",
    "submission_id",
    "artifact_id",
    "generation_id",
    "user_id",
    "attempt",
    "duration_ms",
)
NUMBERS = ("id", "severity_number", "flags")

# One id with an older and a newer name: a value sent under either is found under both.
ALIKE = dict.fromkeys(("artifact_id", "generation_id"), ("artifact_id", "generation_id"))

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


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """
    Conditions that all hold; empty, it lets every record through.

    ``columns`` are exact values by column name, one of `TEXTS`, `IDS` and `NUMBERS`; text
    for one of `IDS` means the value that `extra` keeps. ``extra`` are exact values, as text,
    by a key of `extra` or, with a dot in it, of the resource's attributes. Times are aware
    and both inclusive.
    """

    columns: dict[str, str | int | float] = {}
    extra: dict[str, str] = {}
    severity: tuple[int, int] | None = None  # lowest and highest severity number
    level: str | None = None  # one that no severity number stands for, in any case
    stage_prefix: str | None = None  # the stage itself, or its part before a colon
    search: str | None = None
    start: dt.datetime | None = None
    end: dt.datetime | None = None


class Where:
    """A condition that grows by ``AND``, with its arguments."""

    def __init__(self) -> None:
        self._conditions: list[str] = []
        self.arguments: list[object] = []

    def bind(self, value: object) -> str:
        """Give the placeholder of *value*."""
        self.arguments.append(value)
        return f"${len(self.arguments)}"

    def add(self, condition: str) -> None:
        """Require *condition* too."""
        self._conditions.append(f"({condition})")

    def __str__(self) -> str:
        """Give the condition as it stands in a statement."""
        return " AND ".join(self._conditions) or "true"


def where(wanted: Filter) -> Where:
    """Give the condition that the rows of *wanted* meet."""
    found = Where()
    if wanted.start is not None:
        found.add(f"timestamp >= {found.bind(wanted.start)}")
    if wanted.end is not None:
        found.add(f"timestamp <= {found.bind(wanted.end)}")
    if wanted.severity is not None:
        # Not as arguments: only a constant proves that an index on warnings will do.
        lowest, highest = map(int, wanted.severity)
        found.add(f"severity_number BETWEEN {lowest} AND {highest}")
    if wanted.level is not None:
        found.add(f"lower(level) = lower({found.bind(wanted.level)})")
    for name, value in wanted.columns.items():
        found.add(column(found, name, value))
    if wanted.stage_prefix is not None:
        prefix = found.bind(wanted.stage_prefix)
        found.add(f"stage = {prefix} OR starts_with(stage, {prefix} || ':')")
    for key, text in wanted.extra.items():
        found.add(_extra(found, key, text))
    if wanted.search is not None:
        found.add(_search(found, wanted.search))
    return found


def column(found: Where, name: str, value: str | float) -> str:
    """Give the condition that column *name* is *value*, binding it in *found*."""
    if name == "job_id" and isinstance(value, int):
        # Each side has its index, and Postgres joins what they find.
        number, text = found.bind(value), found.bind(str(value))
        return f"job_id = {number} OR (job_id IS NULL AND extra ->> 'job_id' = {text})"
    if name == "trace_id" and isinstance(value, str) and value != value.lower():
        # OTLP ids are kept in lower case, others as they were sent.
        return f"trace_id = {found.bind(value)} OR trace_id = {found.bind(value.lower())}"
    if name in IDS:
        placeholder = found.bind(value)
        kept = isinstance(value, str)
        return " OR ".join(
            f"({each} IS NULL AND extra ->> '{each}' = {placeholder})"
            if kept
            else f"{each} = {placeholder}"
            for each in ALIKE.get(name, (name,))
        )
    if name not in TEXTS and name not in NUMBERS:
        raise ValueError(f"no filter on {name}")
    return f"{name} = {found.bind(value)}"


def _extra(found: Where, key: str, text: str) -> str:
    name, value = f"{found.bind(key)}::text", found.bind(text)
    own = f"extra ->> {name} = {value}"
    if "." not in key:
        return own
    return (
        f"{own} OR resource_id = ANY (ARRAY("
        f"SELECT r.id FROM resources r WHERE r.attributes ->> {name} = {value}))"
    )


def _search(found: Where, text: str) -> str:
    # COLLATE "C" takes half the time and knows no upper case beyond ASCII.
    collate = 'COLLATE "C"' if text.isascii() else 'COLLATE "default"'
    pattern = found.bind(_containing(text))
    # All columns are looked through at once; what stands between them isn't in the text.
    between = found.bind(next(char for char in map(chr, range(1, 0xD800)) if char not in text))
    columns = f"concat_ws({between}, {', '.join(SEARCHED)}) {collate} ILIKE {pattern}"
    # All of `extra` as text is quicker to look through than its values one by one, and holds
    # each of them as JSON writes it.
    written = found.bind(_containing(msgspec.json.encode(text)[1:-1].decode()))
    return (
        f"{columns} OR (extra::text {collate} ILIKE {written} AND EXISTS ("
        "SELECT FROM jsonb_path_query(extra, 'strict $.**') value"
        " WHERE jsonb_typeof(value) NOT IN ('object', 'array')"
        f" AND (value #>> '{{}}') {collate} ILIKE {pattern}))"
    )


def _containing(text: str) -> str:
    for special in ("\\", "%", "_"):
        text = text.replace(special, "\\" + special)
    return f"%{text}%"
