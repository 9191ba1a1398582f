"""
A YAML file as values that know their line, with the environment filled in.

Scalars follow YAML 1.2, where ``on``, ``no``, ``1:30`` and dates are text. In each value
``${env:NAME}`` stands for a variable, ``${env:NAME:-default}`` has a default for one that is
unset or empty, and ``$$`` is a ``$``. A value that is nothing but a reference has the type
that its text would have in YAML.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import msgspec
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

BROKEN = object()  # the value of a node that has a problem already
_REFERENCE = re.compile(r"\$\$|\$\{env:([A-Za-z_]\w*)(?::-([^}]*))?\}|\$\{[^}]*\}?")


class Problem(msgspec.Struct, frozen=True, order=True):
    """What is wrong, at which line of the file (0: of none), at which path as the user wrote it."""

    line: int
    path: str
    message: str

    def told(self, file: str) -> str:
        """Give the line that is shown to the user."""
        place = f"{file}:{self.line}" if self.line else file
        return ": ".join(filter(None, (place, self.path, self.message)))


class Node(msgspec.Struct):
    """
    A value of the file: a scalar, a list of nodes or a mapping of names to nodes.

    ``text`` is what a value that came from the environment was before it got a type.
    """

    line: int
    value: Any
    text: str | None = None

    def plain(self) -> Any:
        """Give the value without its lines."""
        if isinstance(self.value, dict):
            return {name: node.plain() for name, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def at(self, *path: str) -> Node | None:
        """Give what the mappings of *path* hold there, if anything."""
        node: Node | None = self
        for name in path:
            node = node.value.get(name) if node and isinstance(node.value, dict) else None
        return node

    def given(self, *path: str) -> Node | None:
        """Give what is at *path*, unless it is left empty."""
        node = self.at(*path)
        return None if node is None or node.value is None else node


def parse(text: str, environ: Mapping[str, str]) -> tuple[Node, list[Problem]]:
    """Read *text*; what has a problem is `BROKEN` in the tree. An empty text is a mapping."""
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        reason = ", ".join(filter(None, (exc.context, exc.problem)))
        return Node(1, {}), [Problem(mark.line + 1 if mark else 0, "", f"not YAML: {reason}")]
    except yaml.reader.ReaderError as exc:
        line = text.count("\n", 0, exc.position) + 1
        return Node(1, {}), [Problem(line, "", f"not YAML: {exc.reason}")]
    except RecursionError:
        return Node(1, {}), [Problem(0, "", "nested too deep")]
    reading = _Reading(environ)
    node = reading.node(root, "", 1) if root is not None else Node(1, None)
    return Node(1, {}) if node.value is None else node, reading.problems


def scalar(text: str) -> Any:
    """Give the value that *text* has as a plain scalar of YAML."""
    tag: str = _Loader("").resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    return _typed(tag, text)


def substituted(text: str, environ: Mapping[str, str]) -> str:
    """
    Fill the references of *text* in.

    Raises:
        ValueError: a variable is not set and has no default, or a reference is not one of ours.
    """

    def value(match: re.Match[str]) -> str:
        name, default = match.groups()
        if match[0] == "$$":
            return "$"
        if name is None:
            raise ValueError("expected ${env:NAME} or ${env:NAME:-default}, or $$ for a $ before {")
        if default is not None:
            return environ.get(name) or default
        if name not in environ:
            raise ValueError(f"the environment variable {name} is not set, and has no default here")
        return environ[name]

    return _REFERENCE.sub(value, text)


class _Reading:
    """One pass over a tree of YAML's nodes."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._within: list[yaml.Node] = []
        self.problems: list[Problem] = []

    def node(self, node: yaml.Node, path: str, line: int) -> Node:
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path, line)
        if any(node is outer for outer in self._within):
            return self._broken(line, path, "the alias stands for what it is in")
        self._within.append(node)
        try:
            if isinstance(node, yaml.MappingNode):
                return Node(line, dict(self._items(node, path)))
            return Node(
                line,
                [
                    self.node(item, f"{path}[{place}]", _line(item))
                    for place, item in enumerate(node.value)
                ],
            )
        finally:
            self._within.pop()

    def _items(self, node: yaml.MappingNode, path: str) -> Iterator[tuple[str, Node]]:
        first: dict[str, int] = {}
        for key, item in node.value:
            line = _line(key)
            if not isinstance(key, yaml.ScalarNode):
                self._broken(line, path, "expected a name as the key")
                continue
            name = key.value
            there = f"{path}.{name}" if path else name
            if name in first:
                self._broken(line, there, f"written twice, the first time on line {first[name]}")
                continue
            first[name] = line
            yield name, self.node(item, there, line)

    def _scalar(self, node: yaml.ScalarNode, path: str, line: int) -> Node:
        text: str = node.value
        try:
            filled = substituted(text, self._environ)
            if (match := _REFERENCE.fullmatch(text)) and match[1]:
                return Node(line, scalar(filled), text=filled)
            return Node(line, filled if filled != text else _typed(node.tag, text))
        except ValueError as exc:
            return self._broken(line, path, str(exc))

    def _broken(self, line: int, path: str, message: str) -> Node:
        self.problems.append(Problem(line, path, message))
        return Node(line, BROKEN)


class _Loader(yaml.SafeLoader):
    """Composes nodes, with the scalars of YAML 1.2's core schema."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


class Dumper(yaml.SafeDumper):
    """Writes what `parse` reads back: text that would be something else is quoted."""

    yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers


_TAG = "tag:yaml.org,2002:"
_SCALARS = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
)
for _name, _pattern, _first in _SCALARS:
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(rf"^(?:{_pattern})$"), _first)


def _typed(tag: str, text: str) -> Any:
    match tag.removeprefix(_TAG):
        case "str":
            return text
        case "null":
            return None
        case "bool":
            return text.lower() == "true"
        case "int":
            return int(text, 0) if text[:2] in {"0o", "0x"} else int(text)
        case "float":
            if math.isinf(number := float(text)):
                raise ValueError("the number is too large")
            return number
        case _:
            raise ValueError(f"the tag {tag} is not known here")


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
