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
    from collections.abc import Callable, Mapping

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
    if (
        type(value) is bool
        or (type(value) is float and value.is_integer())
        or (type(value) is str and _DECIMAL.fullmatch(value))
    ):
        value = int(value)
    return value if type(value) is int and value in _INT64 else None


def number(value: object) -> float | None:
    """Read a finite number, or text that says one; None where it is none."""
    if type(value) is dict and len(value) == 1:
        value = value.get("$double")
    if type(value) not in {int, float, str}:
        return None
    try:
        found = float(value)  # type: ignore[arg-type]
    except ValueError:
        return None
    return found if abs(found) < float("inf") else None


_BY_TYPE: dict[str, tuple[type, Callable[[object], Any]]] = {
    "str | None": (str, text),
    "str": (str, text),
    "int | None": (int, integer),
    "float | None": (float, number),
}


class Columns:
    """`Correlation`, made ready for many records."""

    def __init__(self, config: Correlation) -> None:
        types = {name: _BY_TYPE[LogRecord.__annotations__[name]] for name in PROMOTABLE}
        # attribute name -> column, rank, reader
        self._names: dict[str, tuple[str, int, Callable[[object], Any]]] = {
            name: (column, rank, error if column == "error" else types[column][1])
            for column, names in config.merged().items()
            for rank, name in enumerate(names)
        }
        # column -> the type of value that it gives back exactly, bit
        self._exact = {name: (types[name][0], 1 << bit) for bit, name in enumerate(PROMOTABLE)}

    def fill(self, fields: dict[str, Any], attributes: Mapping[str, object]) -> None:
        """Set in *fields* the columns that *attributes* fill, whatever stood there before."""
        ranks: dict[str, int] = {}
        for name in attributes:
            if name not in self._names:
                continue
            column, rank, read = self._names[name]
            if rank < ranks.get(column, rank + 1):
                value = read(attributes[name])
                if value is not None:
                    ranks[column] = rank
                    fields[column] = value

    def promote(self, fields: Mapping[str, Any], extra: dict[str, object]) -> int | None:
        """
        Take out of *extra* what a column of its own name gives back exactly.

        Returns the bit set of the columns, see `storage.records.PROMOTABLE`.
        """
        promoted = 0
        for name in [name for name in extra if name in self._exact]:
            exact, bit = self._exact[name]
            value = extra[name]
            if type(value) is exact and value == fields.get(name):
                promoted |= bit
                del extra[name]
        return promoted or None
