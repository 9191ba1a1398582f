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
from storage.records import COLUMNS, PROMOTABLE, LogRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

DEFAULTS: dict[str, tuple[str, ...]] = {
    "service": ("service.name", "service"),
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

MOST_MISSED = 20_000  # attributes that were not remembered, before the old ones are forgotten
MOST_NAMES = 10_000  # of attributes, that are remembered
LONGEST_NAME = 200  # characters of one
MOST_OF_A_NAME = 1_000  # attributes of one name that are remembered meanwhile
LONGEST_ERROR = 10_000  # characters
# Characters of any other text; at 4 bytes each below the 2,704 that an index entry may have.
LONGEST_TEXT = 600
PROMOTED, EXTRA = COLUMNS.index("promoted"), COLUMNS.index("extra")
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
    place: int = -1  # of the column in a row
    found: Any = None  # the column's value
    rank: int = 0  # among the names of the column, the lowest first
    # Bits in `storage.records.PROMOTABLE`: of the column that gives the value back exactly, or
    # else of one that others may fill too.
    promoted: int = 0
    contended: int = 0


class Name(msgspec.Struct, gc=False, eq=False):
    """The name of attributes, and the column that they may fill."""

    text: str
    place: int = -1
    rank: int = 0
    read: Callable[[object], Any] | None = None
    exact: type | None = None  # of values that the column gives back exactly
    bit: int = 0
    remembered: int = 0  # of its attributes; see `Columns.remember`

    def attribute(self, value: object) -> Attribute:
        """Give the attribute of this name and *value*."""
        if self.read is None:
            return Attribute(self.text, value)
        if (found := self.read(value)) is None:
            return Attribute(self.text, value, contended=self.bit if self.exact else 0)
        if type(value) is self.exact:
            return self.exactly(value)
        return Attribute(self.text, value, self.place, found, self.rank, 0, self.bit)

    def exactly(self, value: object) -> Attribute:
        """Do as `attribute`, of a value that is of type ``exact``, and short if it is a text."""
        return Attribute(self.text, value, self.place, value, self.rank, self.bit)


class Columns:
    """`Correlation`, made ready for many records."""

    def __init__(self, config: Correlation) -> None:
        # Attributes by how a decoder found them encoded; see `remember` and `forget`.
        self._missed = 0  # since `seen` was new
        self.seen: dict[bytes, Attribute] = {}
        self.seen_before: dict[bytes, Attribute] = {}
        # Likewise names with the length of a value; and the kind of that, and the whole length.
        self.names_seen: dict[bytes, tuple[Name, int, int]] = {}
        self._of_columns: dict[str, Name] = {}
        for column, names in config.merged().items():
            read, exact = _BY_TYPE[LogRecord.__annotations__[column]]
            for rank, name in enumerate(names):
                self._of_columns[name] = Name(
                    text=name,
                    place=COLUMNS.index(column),
                    rank=rank,
                    read=error if column == "error" else read,
                    exact=exact if name == column else None,
                    bit=1 << PROMOTABLE.index(column),
                )
        self._names = self._of_columns.copy()

    def name(self, text: str) -> Name:
        """Tell which column attributes of this name may fill."""
        if (found := self._names.get(text)) is None:
            found = Name(text)
            if len(text) <= LONGEST_NAME:
                if len(self._names) >= MOST_NAMES:
                    self._names = self._of_columns.copy()
                    self.names_seen.clear()
                self._names[text] = found
        return found

    def attribute(self, name: str, value: object) -> Attribute:
        """Tell which column *value* may fill under this *name*."""
        return self.name(name).attribute(value)

    def remember(self, encoded: bytes, name: Name, attribute: Attribute) -> None:
        """
        Put *attribute* in `seen`, for when the same bytes come again.

        A name whose values are ever new, such as an id of requests, has only some of them
        remembered, for they cost more than they save.
        """
        self._missed += 1
        if name.remembered < MOST_OF_A_NAME:
            name.remembered += 1
            self.seen[encoded] = attribute

    def forget(self) -> None:
        """
        Make `seen` become `seen_before` now and then: to be called before each request.

        So what is seen again stays, while what came once goes by.
        """
        if self._missed > MOST_MISSED:
            self._missed = 0
            self.seen_before, self.seen = self.seen, {}
            for each in self._names.values():
                each.remembered = 0

    def fill(self, row: LogRecord, attributes: dict[str, object]) -> None:
        """Set the columns of *row* that *attributes* fill, whatever stood there before."""
        given = [self.attribute(name, value) for name, value in attributes.items()]
        for attribute in _without_beaten(given):
            if attribute.place >= 0:
                setattr(row, COLUMNS[attribute.place], attribute.found)


def filled(shared: Iterable[object], attributes: Sequence[Attribute]) -> LogRecord:
    """
    Give a row of the values *shared*, in its columns' order, with what *attributes* fill.

    Those that their columns give back exactly are told in ``promoted``, the others are in
    ``extra``. Of attributes with the same name the last one counts.
    """
    row: list[Any] = [*shared]
    left: dict[str, object] = {}
    promoted = contended = contenders = 0
    for attribute in attributes:
        if bit := attribute.promoted:
            promoted |= bit
            row[attribute.place] = attribute.found
            continue
        left[attribute.name] = attribute.value
        if bit := attribute.contended:
            contended |= bit
            contenders += 1
            if attribute.place >= 0:
                row[attribute.place] = attribute.found
    # Two of one name, or for one column, are rare, and may cost another round.
    if (
        promoted.bit_count() + len(left) != len(attributes)
        or contended & promoted
        or contended.bit_count() != contenders
    ):
        best = _without_beaten(attributes)
        if best != attributes:
            return filled(shared, best)
    row[PROMOTED] = promoted or None
    row[EXTRA] = left or None
    return LogRecord(*row)


def _without_beaten(attributes: Sequence[Attribute]) -> list[Attribute]:
    """Leave each name to its last attribute, and each column to the name that comes first."""
    last = {attribute.name: attribute for attribute in attributes}.values()
    best: dict[int, int] = {}
    for attribute in last:
        rank = best.get(attribute.place, attribute.rank)
        best[attribute.place] = min(rank, attribute.rank)
    return [
        each if each.rank == best[each.place] else Attribute(each.name, each.value) for each in last
    ]
