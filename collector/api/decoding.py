"""How the text of a request becomes parameters, and what its sender hears of a wrong one."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin

import msgspec

from collector.api.parameters import Integer, Time
from collector.errors import Unprocessable
from collector.search.mistakes import Mistake, Unfit
from collector.search.times import moment
from collector.search.values import identifier, milliseconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Shape = TypeVar("Shape", bound=msgspec.Struct)

_fields = functools.cache(msgspec.structs.fields)  # reading the annotations takes two milliseconds

MOST_UNKNOWN = 50  # names that are no parameter's, each of which is a filter on `extra`

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
    shape: type[Shape], given: Iterable[tuple[str, str]], where: str = "query"
) -> tuple[Shape, dict[str, tuple[str, ...]]]:
    """
    Give the parameters of *shape*, and by name the values of those it doesn't know.

    An empty value counts as none, unless the parameter is required. Of one that has no list
    of values, but is given twice, the last counts.

    Raises:
        Unprocessable: with everything that is wrong, its place in *where*.
    """
    texts: dict[str, tuple[str, ...]] = {}
    details = []
    for name, text in given:
        if "\0" in name + text:
            message = "Input should have no NUL character"
            details.append(_detail("value_error", [where, name], message, text))
        if text or name in _required(shape):
            texts[name] = (*texts.get(name, ()), text)
    values: dict[str, object] = {}
    for field in _fields(shape):
        name = field.encode_name
        if name in texts:
            try:
                values[field.name] = _values(field.type, found := texts.pop(name))
            except ValueError as exc:  # msgspec.ValidationError is one
                kind, message = _explained(exc)
                details.append(_detail(kind, [where, name], message, found[-1]))
        elif field.required:
            details.append(_detail("missing", [where, name], "Field required", None))
    if len(texts) > MOST_UNKNOWN:
        message = f"Input should have at most {MOST_UNKNOWN} names that are no parameter's"
        details.append(_detail("too_long", [where], message, len(texts)))
    if details:
        raise Unprocessable(details)
    return shape(**values), texts


def invalid(name: str, exc: ValueError, value: str) -> Unprocessable:
    """Say why the query's parameter *name* cannot be *value*."""
    kind, message = _explained(exc)
    detail = _detail(kind, ["query", name], message, value)
    if isinstance(exc, Mistake):
        detail["ctx"] = {
            "column": exc.column,
            "length": exc.length,
            "expected": exc.expected,
            "found": exc.found,
            "suggestion": exc.suggestion or None,
        }
    return Unprocessable([detail])


def _required(shape: type[msgspec.Struct]) -> set[str]:
    return {field.name for field in _fields(shape) if field.required}


def _values(kind: Any, texts: tuple[str, ...]) -> object:
    bare = _bare(kind)
    if get_origin(bare) is tuple:
        return tuple(_value(get_args(bare)[0], text) for text in texts)
    return _value(kind, texts[-1])


def _value(kind: Any, text: str) -> object:
    if read := _READERS.get(_bare(kind)):
        return read(text)
    value = msgspec.convert(text.strip(), kind, strict=False)
    if value is None:  # msgspec's reading of "null"
        raise Unfit("a value")
    return value


def _bare(kind: Any) -> Any:
    """Take the description off a type."""
    return getattr(kind, "__origin__", kind) if hasattr(kind, "__metadata__") else kind


_READERS: dict[Any, Callable[[str], object]] = {
    Integer | str: identifier,
    float | str: milliseconds,
    _bare(Time): moment,
    str: str,
    str | None: str,
}


def _explained(exc: ValueError) -> tuple[str, str]:
    """Give pydantic's type and words for what msgspec, or a reader of ours, says."""
    message = str(exc)
    if isinstance(exc, Mistake):
        return "search_syntax", message
    if isinstance(exc, Unfit):
        return "value_error", f"Input should be {message}"
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
