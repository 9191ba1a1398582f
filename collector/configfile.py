"""
Reads config.yaml: the configuration, or every problem it has.

What the file leaves out has its default. A section of components (such as ``receivers``)
that is left out has the built-in ones; one that is there has what it names and no more. A
list of names that is left out, in a pipeline or of extensions, has all that are defined.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import yaml

from collector import document, rules
from collector.alerting.settings import Alerts
from collector.components import Catalog, Unknown
from collector.config import KINDS, Config, Pipeline, Pipelines, Service
from collector.document import BROKEN, Node, Problem
from collector.secrets import shown
from collector.sections import Section
from collector.shape import Shaping, suggestion

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT = Path("config.yaml")  # is read where no other is named, if it exists
_NAME = re.compile(r"[A-Za-z]\w*(/[^\s/]+)?")


class Invalid(Exception):
    """The configuration has problems; ``lines`` has one for each."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


class Loaded(msgspec.Struct, frozen=True):
    """A configuration, and what is odd but allowed in it, a line each."""

    config: Config
    warnings: list[str]


def load(path: Path | None, environ: Mapping[str, str] = os.environ) -> Loaded:
    """
    Read *path*; for ``None`` config.yaml, or all defaults where there is none.

    Raises:
        Invalid: it cannot be read, or has problems.
    """
    if path is None and not DEFAULT.exists():
        return parse("", "defaults", environ)
    path = path or DEFAULT
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as exc:
        raise Invalid([f"{path}: {exc.strerror}"]) from exc
    except UnicodeDecodeError as exc:
        raise Invalid([f"{path}: not UTF-8, at byte {exc.start}"]) from exc
    return parse(text, str(path), environ)


def parse(
    text: str, file: str, environ: Mapping[str, str], catalog: Catalog | None = None
) -> Loaded:
    """
    Give the configuration that *text* is; *file* is its name in messages.

    Raises:
        Invalid: it has problems.
    """
    root, problems = document.parse(text, environ)
    shaping = Shaping(environ)
    catalog = catalog or Catalog()
    parts = shaping.items(root, "") or {}
    known = Config.__struct_fields__
    for name in parts.keys() - set(known):
        shaping.report(parts[name].line, name, f"unknown section{suggestion(name, known)}")
    components = {kind: _components(shaping, catalog, kind, parts.get(kind)) for kind in KINDS}
    alerts = shaping.convert(parts.get("alerts", Node(0, {})), Alerts, "alerts")
    service = shaping.convert(parts.get("service", Node(0, {})), Service, "service")
    checks = rules.Checks(root, components)
    problems += shaping.problems + checks.problems
    if isinstance(alerts, Alerts) and alerts.rules and not alerts.notifiers.named:
        message = "nobody is told, for alerts.notifiers has nobody"
        checks.warnings.append(Problem(parts["alerts"].line, "alerts.rules", message))
    if problems:
        raise Invalid([problem.told(file) for problem in sorted(problems)])
    config = Config(**components, alerts=alerts, service=_complete(service, root, components))
    return Loaded(config, [warning.told(file) for warning in sorted(checks.warnings)])


def dump(config: Config) -> str:
    """Give *config* as YAML; secrets are hidden, and all else reads back to the same."""
    return yaml.dump(_builtins(config), Dumper=document.Dumper, sort_keys=False)


def _components(shaping: Shaping, catalog: Catalog, kind: str, node: Node | None) -> dict[str, Any]:
    """Give the components of the section *kind*: by name the settings, or `BROKEN`."""
    if node is None or node.value is None:
        built_in = catalog.built_in[kind]
        return {
            type_name: shaping.section(Node(0, {}), component.config, "")
            for type_name, component in built_in.items()
            if component.by_default
        }
    found = {}
    for name, item in (shaping.items(node, kind) or {}).items():
        path, found[name] = f"{kind}.{name}", BROKEN
        if not _NAME.fullmatch(name):
            shaping.report(item.line, path, "expected a name as type or type/name")
            continue
        type_name, _, _ = name.partition("/")
        try:
            component = catalog.find(kind, type_name)
        except Unknown:
            hint = suggestion(type_name, catalog.types(kind))
            message = f"unknown type of {kind.removesuffix('s')}{hint}"
            shaping.report(item.line, path, message)
        except ValueError as exc:
            shaping.report(item.line, path, str(exc))
        else:
            found[name] = shaping.section(item, component.config, path)
    return found


def _complete(service: Service, root: Node, components: Mapping[str, Mapping[str, Any]]) -> Service:
    """Fill each list of names that the file leaves out with all there are."""
    logs = msgspec.structs.replace(
        service.pipelines.logs,
        **{
            kind: tuple(components[kind])
            for kind in Pipeline.__struct_fields__
            if root.given(*rules.PIPELINE, kind) is None
        },
    )
    found = msgspec.structs.replace(service, pipelines=Pipelines(logs=logs))
    if root.given("service", "extensions") is None:
        found = msgspec.structs.replace(found, extensions=tuple(components["extensions"]))
    return found


def _builtins(value: Any) -> Any:
    match value:
        case Section():
            return {name: _builtins(item) for name, item in shown(value).items()}
        case dict():
            return {name: _builtins(item) for name, item in value.items()}
        case tuple() | list():
            return [_builtins(item) for item in value]
        case str():
            return value.replace("$", "$$")
    return value
