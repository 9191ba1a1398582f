"""
Nodes of a file as a section of the configuration, or every reason why they are not one.

`msgspec.convert` stops at the first error and knows no lines, so sections, lists and
mappings are walked here, and msgspec converts what they hold.
"""

from __future__ import annotations

import difflib
from types import UnionType
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

import msgspec
from msgspec import inspect

from collector import document
from collector.document import BROKEN, Node, Problem
from collector.secrets import hider
from collector.sections import Section

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

LONGEST_VALUE = 60  # characters of a value in a message


class Shaping:
    """One reading of a file: collects the problems of all its sections."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.problems: list[Problem] = []

    def report(self, line: int, path: str, message: str) -> None:
        """Take a problem down."""
        self.problems.append(Problem(line, path, message))

    def section(self, node: Node, kind: type[Section], path: str) -> Any:
        """Give *node* as a *kind*, or `BROKEN`; what it leaves out has its default."""
        if (items := self.items(node, path)) is None:
            return BROKEN
        hints = get_type_hints(kind, include_extras=True)
        # Some are called in the file what Python has for a word of its own.
        fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
        for name in items.keys() - fields.keys():
            self.report(
                items[name].line, _join(path, name), f"unknown key{suggestion(name, fields)}"
            )
        values = {
            field.name: self.convert(items[name], hints[field.name], _join(path, name))
            for name, field in fields.items()
            if name in items
        }
        for name, field in fields.items():
            if field.required and name not in items:
                self.report(node.line, path, f"the key {name} is missing")
                return BROKEN
        if BROKEN in values.values():
            return BROKEN
        try:
            return kind(**self._defaults(kind, values), **values)
        except ValueError as exc:  # a rule between fields
            self.report(node.line, path, str(exc))
            return BROKEN

    def items(self, node: Node, path: str) -> dict[str, Node] | None:
        """Give what the mapping *node* holds; one that is left empty holds nothing."""
        if node.value is None:
            return {}
        if isinstance(node.value, dict):
            return node.value
        if node.value is not BROKEN:
            self.report(node.line, path, f"expected a mapping, found {found(node.value)}")
        return None

    def convert(self, node: Node, hint: Any, path: str) -> Any:
        """Give *node* as a value of the type *hint*, or `BROKEN`."""
        origin, arguments = get_origin(hint), get_args(hint)
        if origin is UnionType and node.value is not None:  # a section, or nothing
            hint = next((each for each in arguments if _is_section(each)), hint)
        if _is_section(hint):
            return self.section(node, hint, path)
        if origin is dict and isinstance(node.value, dict):
            return self._whole(
                {
                    name: self.convert(item, arguments[1], _join(path, name))
                    for name, item in node.value.items()
                }
            )
        if origin in {tuple, list} and isinstance(node.value, list):
            items = {
                place: self.convert(item, arguments[0], f"{path}[{place}]")
                for place, item in enumerate(node.value)
            }
            whole = self._whole(items)
            return whole if whole is BROKEN else origin(whole.values())
        return self._leaf(node, hint, path)

    def _whole(self, items: dict[Any, Any]) -> Any:
        return BROKEN if BROKEN in items.values() else items

    def _leaf(self, node: Node, hint: Any, path: str) -> Any:
        if broken(node):
            return BROKEN
        candidates = [node.plain()] if node.text is None else [node.plain(), node.text]
        for value in candidates:
            try:
                return msgspec.convert(value, hint)
            except msgspec.ValidationError:
                continue
        seen = "another value (it is not shown)" if hider(hint) else found(candidates[-1])
        self.report(node.line, path, f"expected {expected(hint)}, found {seen}")
        return BROKEN

    def _defaults(self, kind: type[Section], given: Collection[str]) -> dict[str, str]:
        """Fill the environment in where a default refers to it."""
        return {
            field.name: document.substituted(field.default, self._environ)
            for field in msgspec.structs.fields(kind)
            if isinstance(field.default, str) and field.name not in given
        }


def broken(node: Node) -> bool:
    """Tell whether *node* or anything in it has a problem already."""
    if isinstance(node.value, dict):
        return any(map(broken, node.value.values()))
    if isinstance(node.value, list):
        return any(map(broken, node.value))
    return node.value is BROKEN


def suggestion(name: str, known: Collection[str]) -> str:
    """Say which of *known* the misspelt *name* may have been meant to be."""
    if close := difflib.get_close_matches(name, known, n=1):
        return f", did you mean {close[0]}?"
    return f", expected one of: {', '.join(sorted(known))}" if known else ""


def found(value: Any) -> str:
    """Give *value* as a message shows it."""
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case dict():
            return "a mapping"
        case list():
            return "a list"
    text = repr(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


def expected(hint: Any) -> str:
    """Describe the values of the type *hint*."""
    return _describe(inspect.type_info(hint))


def _describe(info: inspect.Type, unit: str = "") -> str:  # noqa: PLR0911  a table of types
    match info:
        case inspect.Metadata(type=inner):
            return _describe(inner, (info.extra_json_schema or {}).get("description", ""))
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType() | inspect.FloatType():
            what = "a whole number" if isinstance(info, inspect.IntType) else "a number"
            return " ".join(filter(None, (what, unit and f"of {unit}", _bounds(info))))
        case inspect.StrType():
            return unit or "text"
        case inspect.LiteralType():
            return f"one of: {', '.join(map(str, info.values))}"
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            return f"a list of {_describe(item)}"
        case inspect.UnionType():
            return " or ".join(map(_describe, info.types))
        case inspect.NoneType():
            return "nothing"
        case _:
            return "a mapping"


def _bounds(info: inspect.IntType | inspect.FloatType) -> str:
    limits = {"above": info.gt, "from": info.ge, "below": info.lt, "to": info.le}
    return " ".join(f"{word} {limit:g}" for word, limit in limits.items() if limit is not None)


def _is_section(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Section)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
