"""
Which attributes fill the columns that people search by.

A record's attribute goes before its scope's, and that before its resource's; within one
of them the order of the configured names decides. A value that doesn't fit its column is
passed over, and stays where it is: an attribute is never lost to a column.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from collector.sections import Section
from storage.records import PROMOTABLE, LogRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

DEFAULTS: dict[str, tuple[str, ...]] = {
    "service": ("service.name",),
    "env": ("deployment.environment.name", "deployment.environment", "env"),
    "instance_id": ("service.instance.id", "instance_id"),
    "request_id": (
        "request_id",
        "request.id",
        "http.request.id",
        "http.request.header.x-request-id",
    ),
    "job_id": ("job_id", "job.id", "pixsim.job_id", "pixsim.job.id"),
    "submission_id": ("submission_id", "submission.id", "pixsim.submission_id"),
    "artifact_id": ("artifact_id", "artifact.id", "pixsim.artifact_id"),
    "generation_id": ("generation_id", "generation.id", "pixsim.generation_id"),
    "provider_job_id": ("provider_job_id", "provider.job.id", "pixsim.provider_job_id"),
    "provider_id": ("provider_id", "provider.id", "pixsim.provider_id"),
    "operation_type": ("operation_type", "operation.type", "pixsim.operation_type"),
    "stage": ("stage", "pixsim.stage"),
    "channel": ("channel", "pixsim.channel"),
    "domain": ("domain", "pixsim.domain"),
    "user_id": ("user_id", "user.id", "enduser.id", "pixsim.user_id"),
    "error": ("error", "exception.message"),
    "error_type": ("error_type", "error.type", "exception.type"),
    "duration_ms": ("duration_ms", "pixsim.duration_ms"),
    "attempt": ("attempt", "pixsim.attempt"),
}

MOST_SEEN = 10_000  # attributes
MOST_VALUES_SEEN = 256  # of one name
LONGEST_ERROR = 10_000  # characters
# Characters of any other text; at 4 bytes each below the 2,704 that an index entry may have.
LONGEST_TEXT = 600
_INT64 = range(-(2**63), 2**63)
_DECIMAL = re.compile(r"-?[0-9]{1,19}")


class Correlation(Section, frozen=True, kw_only=True):
    """
    Attribute names for each column, in order of precedence.

    A column that is not named here keeps its default; an empty list fills it from nothing.
    """

    attributes: dict[str, tuple[str, ...]] = msgspec.field(default_factory=lambda: dict(DEFAULTS))

    def __post_init__(self) -> None:
        """Check that each column exists, and that each name fills one column."""
        columns: dict[str, str] = {}
        for column, names in self.merged().items():
            if column not in PROMOTABLE:
                raise ValueError(f"no column `{column}`, expected one of {', '.join(PROMOTABLE)}")
            for name in names:
                if columns.setdefault(name, column) != column:
                    raise ValueError(f"`{name}` is named for both `{columns[name]}` and `{column}`")

    def merged(self) -> dict[str, tuple[str, ...]]:
        """Give the names for all columns, the defaults included."""
        return {**DEFAULTS, **self.attributes}


def text(value: object) -> str | None:
    """Read a value as the text of a column; None where it is none, or too long."""
    if type(value) is str:
        return value if 0 < len(value) <= LONGEST_TEXT else None
    if type(value) is bool:
        return "true" if value else "false"
    return str(value) if type(value) in {int, float} else None


def error(value: object) -> str | None:
    """Read a value as the text of an error, which may be long."""
    if type(value) is str and len(value) <= LONGEST_ERROR:
        return value or None
    return text(value)


def integer(value: object) -> int | None:
    """Read a whole number, or a boolean or decimal text that says one; None where it is none."""
    if type(value) is int:  # which attributes have only within int64
        return value
    if (
        type(value) is bool
        or (type(value) is float and value.is_integer())
        or (type(value) is str and _DECIMAL.fullmatch(value))
    ):
        found = int(value)
        return found if found in _INT64 else None
    return None


def number(value: object) -> float | None:
    """Read a finite number, or text that says one; None where it is none."""
    if type(value) is float:
        return value
    if type(value) is dict and len(value) == 1:
        value = value.get("$double")
    if type(value) not in {int, float, str}:
        return None
    try:
        found = float(value)  # type: ignore[arg-type]
    except ValueError:
        return None
    return found if abs(found) < float("inf") else None


_BY_TYPE: dict[str, tuple[Callable[[object], Any], type]] = {
    "str": (text, str),
    "str | None": (text, str),
    "int | None": (integer, int),
    "float | None": (number, float),
}


class Attribute(msgspec.Struct, frozen=True, gc=False):
    """An attribute, and the column that it may fill."""

    name: str
    value: object
    column: str | None = None
    found: Any = None  # the column's value
    rank: int = 0  # among the names of the column, the lowest first
    bit: int = 0  # in `storage.records.PROMOTABLE`, where the column gives the value back exactly


class Columns:
    """`Correlation`, made ready for many records."""

    def __init__(self, config: Correlation) -> None:
        self.seen: dict[bytes, Attribute] = {}  # by how they were encoded; see `remember`
        self._values_seen: dict[str, int] = {}  # by name
        self._targets: dict[str, tuple[str, int, Callable[[object], Any]]] = {}
        self._exact: dict[str, tuple[type, int]] = {}  # a column's own type, and bit
        for column, names in config.merged().items():
            read, exact = _BY_TYPE[LogRecord.__annotations__[column]]
            self._exact[column] = exact, 1 << PROMOTABLE.index(column)
            for rank, name in enumerate(names):
                self._targets[name] = column, rank, error if column == "error" else read

    def attribute(self, name: str, value: object) -> Attribute:
        """Tell which column *value* may fill under this *name*."""
        if (target := self._targets.get(name)) is None:
            return Attribute(name, value)
        column, rank, read = target
        if (found := read(value)) is None:
            return Attribute(name, value)
        exact, bit = self._exact[column]
        return Attribute(
            name, value, column, found, rank, bit if name == column and type(value) is exact else 0
        )

    def remember(self, encoded: bytes, attribute: Attribute) -> None:
        """
        Put *attribute* in `seen`, for when the same bytes come again.

        A name of many values is that of an id, whose next value will be another, too.
        """
        if len(self.seen) >= MOST_SEEN:
            self.seen.clear()
            self._values_seen.clear()
        number = self._values_seen.get(attribute.name, 0)
        if number < MOST_VALUES_SEEN:
            self._values_seen[attribute.name] = number + 1
            self.seen[encoded] = attribute

    def fill(self, row: LogRecord, attributes: dict[str, object]) -> None:
        """Set the columns of *row* that *attributes* fill, whatever stood there before."""
        move(row, [self.attribute(name, value) for name, value in attributes.items()])


def move(row: LogRecord, attributes: Collection[Attribute]) -> tuple[int | None, dict[str, object]]:
    """
    Set the columns of *row*; give what of *attributes* they don't give back exactly.

    The number before it is the bits of what they do, see `storage.records.PROMOTABLE`.
    """
    promoted = 0
    filled = set()
    left: dict[str, object] = {}
    for attribute in attributes:
        column = attribute.column
        if column is None:
            left[attribute.name] = attribute.value
            continue
        if column in filled:  # two for one column are rare, and may cost another round
            return move(row, _without_beaten(attributes))
        filled.add(column)
        setattr(row, column, attribute.found)
        if attribute.bit:
            promoted |= attribute.bit
        else:
            left[attribute.name] = attribute.value
    return promoted or None, left


def _without_beaten(attributes: Collection[Attribute]) -> list[Attribute]:
    """Leave each column to the attribute whose name comes first."""
    best: dict[str | None, int] = {}
    for attribute in attributes:
        rank = best.get(attribute.column, attribute.rank)
        best[attribute.column] = min(rank, attribute.rank)
    return [
        each if each.rank == best[each.column] else Attribute(each.name, each.value)
        for each in attributes
    ]
