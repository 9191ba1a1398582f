"""How the text of a request becomes parameters, and what its sender hears of a wrong one."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from collector.api.parameters import INT64, Id, Integer, Milliseconds, Time
from collector.api.times import moment
from collector.errors import Unprocessable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Shape = TypeVar("Shape", bound=msgspec.Struct)

MOST_UNKNOWN = 50  # names that are no parameter's, each of which is a filter on `extra`

_WHOLE = re.compile(r"[+-]?[0-9]+(\.0+)?")
_LIMIT = re.compile(r"Expected `\w+` (>=|<=|>|<) (.+)")
_LIMITS = {
    ">=": ("greater_than_equal", "greater than or equal to"),
    "<=": ("less_than_equal", "less than or equal to"),
    ">": ("greater_than", "greater than"),
    "<": ("less_than", "less than"),
}
_PARSING = {
    "int": ("int_parsing", "Input should be a valid integer"),
    "float": ("float_parsing", "Input should be a valid number"),
}


def decode(
    shape: type[Shape], given: Mapping[str, str], where: str = "query"
) -> tuple[Shape, dict[str, str]]:
    """
    Give the parameters of *shape*, and by name those it doesn't know.

    An empty value counts as none, unless the parameter is required. Of a name that is given
    twice the last counts.

    Raises:
        Unprocessable: with everything that is wrong, its place in *where*.
    """
    texts = {name: text for name, text in given.items() if text or name in _required(shape)}
    values: dict[str, object] = {}
    details = [
        _detail("value_error", [where, name], "Input should have no NUL character", text)
        for name, text in texts.items()
        if "\0" in name + text
    ]
    for field in msgspec.structs.fields(shape):
        if field.name in texts:
            text = texts.pop(field.name)
            try:
                values[field.name] = _value(field.type, text)
            except ValueError as exc:  # msgspec.ValidationError is one
                kind, message = _explained(str(exc))
                details.append(_detail(kind, [where, field.name], message, text))
        elif field.required:
            details.append(_detail("missing", [where, field.name], "Field required", None))
    if len(texts) > MOST_UNKNOWN:
        message = f"Input should have at most {MOST_UNKNOWN} names that are no parameter's"
        details.append(_detail("too_long", [where], message, len(texts)))
    if details:
        raise Unprocessable(details)
    return shape(**values), texts


def invalid(name: str, message: str, value: object) -> Unprocessable:
    """Say that the query's parameter *name* cannot be *value*."""
    return Unprocessable([_detail("value_error", ["query", name], message, value)])


def identifier(text: str) -> int | str:
    """
    Read an id: a whole number where it is one.

    Raises:
        ValueError: it is a whole number of more than 64 bits.
    """
    text = text.strip()
    if not _WHOLE.fullmatch(text):
        return text
    whole = text.partition(".")[0]
    number = int(whole) if len(whole.lstrip("+-0")) <= len(str(INT64)) else INT64 + 1
    if not -INT64 - 1 <= number <= INT64:
        raise ValueError("Input should be a whole number of at most 64 bits")
    return number


def _milliseconds(text: str) -> float | str:
    try:
        number = float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) else text


def _required(shape: type[msgspec.Struct]) -> set[str]:
    return {field.name for field in msgspec.structs.fields(shape) if field.required}


def _value(kind: Any, text: str) -> object:
    if read := _READERS.get(_bare(kind)):
        return read(text)
    value = msgspec.convert(text.strip(), kind, strict=False)
    if value is None:  # msgspec's reading of "null"
        raise ValueError("Input should be a value")
    return value


def _bare(kind: Any) -> Any:
    """Take the description off a type."""
    return getattr(kind, "__origin__", kind) if hasattr(kind, "__metadata__") else kind


_READERS: dict[Any, Callable[[str], object]] = {
    _bare(Id): identifier,
    Integer | str: identifier,
    _bare(Milliseconds): _milliseconds,
    _bare(Time): moment,
    str: str,
    str | None: str,
}


def _explained(message: str) -> tuple[str, str]:
    """Give pydantic's type and words for what msgspec, or a reader of ours, says."""
    if found := _LIMIT.match(message):
        kind, words = _LIMITS[found[1]]
        return kind, f"Input should be {words} {found[2]}"
    if message.startswith("Invalid enum value"):
        return "literal_error", message
    for name, parsing in _PARSING.items():
        if message.startswith(f"Expected `{name}"):
            return parsing
    return "value_error", message


def _detail(kind: str, loc: list[str], message: str, given: object) -> dict[str, Any]:
    return {"type": kind, "loc": loc, "msg": message, "input": given}
