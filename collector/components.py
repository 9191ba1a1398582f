"""
The components that config.yaml may name, by their type.

Another package adds one by an entry point of the group ``pixsim_collector.components``,
whose name is the place in the file, such as ``receivers.syslog``, and which leads to a
`Component`.
"""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING, Any

import msgspec

from collector import api, page
from collector.api import Api, operations
from collector.correlation import Correlation
from collector.exporters import (
    datadog,
    elasticsearch,
    file,
    loki,
    otlphttp,
    splunk_hec,
    victorialogs,
)
from collector.exporters.postgres import Postgres
from collector.processors.redaction import Redaction, Redactor
from collector.receivers import otlp, pixsim
from collector.receivers.otlp import Otlp
from collector.receivers.pixsim import Pixsim
from collector.sections import Section  # noqa: TC001  msgspec reads the annotations
from collector.server import Listener

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from collector.forwarding.settings import Forwarder
    from collector.forwarding.target import Target
    from collector.pipeline import Submit
    from storage.reader import Reader

GROUP = "pixsim_collector.components"


class Component(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a type name stands for: the type of its settings, and what makes it run with them.

    ``create`` gives, by the kind of component,

    * a `Listener` of a receiver, from its name, its settings, the `Correlation` and `Submit`;
      whoever sends to it needs a key for that;
    * a `Process` of a processor, from its settings;
    * a `Target` of an exporter, from its settings, which are a `Forwarder`;
    * a `Listener` of an extension, from its settings and the `Reader`.

    Those that `collector.service` knows itself, the store and the correlation, have none.
    ``by_default`` says whether there is one where the file leaves its whole section out.
    """

    config: type[Section]
    create: Any = None
    by_default: bool = True


def _pixsim(name: str, config: Pixsim, _correlation: Correlation, submit: Submit) -> Listener:
    return Listener(config, pixsim.routes(config, submit, receiver=name))


def _otlp(name: str, config: Otlp, correlation: Correlation, submit: Submit) -> Listener:
    routes = otlp.routes(config, correlation, submit, receiver=name)
    return Listener(config.protocols.http, routes)


def _api(config: Api, reader: Reader) -> Listener:
    return Listener(config, [*api.routes(config, reader), *page.routes()], operations.needs)


def _forwarder(config: type[Forwarder], create: Callable[[Any], Target]) -> Component:
    return Component(config=config, create=create, by_default=False)


BUILT_IN: dict[str, dict[str, Component]] = {
    "receivers": {
        "pixsim": Component(config=Pixsim, create=_pixsim),
        "otlp": Component(config=Otlp, create=_otlp),
    },
    "processors": {
        "correlation": Component(config=Correlation),
        "redaction": Component(config=Redaction, create=Redactor, by_default=False),
    },
    "exporters": {
        "postgres": Component(config=Postgres),
        "datadog": _forwarder(datadog.Datadog, datadog.target),
        "elasticsearch": _forwarder(elasticsearch.Elasticsearch, elasticsearch.target),
        "file": _forwarder(file.File, file.target),
        "loki": _forwarder(loki.Loki, loki.target),
        "otlphttp": _forwarder(otlphttp.OtlpHttp, otlphttp.target),
        "splunk_hec": _forwarder(splunk_hec.SplunkHec, splunk_hec.target),
        "victorialogs": _forwarder(victorialogs.VictoriaLogs, victorialogs.target),
    },
    "extensions": {"api": Component(config=Api, create=_api)},
}


class Unknown(Exception):
    """No component has this type."""


class Catalog:
    """The built-in components and those of other packages, which load when they are named."""

    def __init__(self, built_in: Mapping[str, Mapping[str, Component]] = BUILT_IN) -> None:
        self.built_in = built_in
        self._added = {point.name: point for point in metadata.entry_points(group=GROUP)}

    def find(self, kind: str, type_name: str) -> Component:
        """
        Give the component *type_name* of the section *kind*.

        Raises:
            Unknown: there is none.
            ValueError: another package has it, but it does not load.
        """
        if component := self.built_in[kind].get(type_name):
            return component
        if (point := self._added.get(f"{kind}.{type_name}")) is None:
            raise Unknown(type_name)
        try:
            component = point.load()
        except Exception as exc:  # it is another's code, and may fail in any way
            raise ValueError(f"{point.value} does not load: {exc}") from exc
        if not isinstance(component, Component):
            raise ValueError(f"{point.value} is not a collector.components.Component")  # noqa: TRY004  a user's error
        return component

    def create(self, kind: str, name: str) -> Any:
        """Give what makes the component *name* of *kind* run; see `Component`."""
        return self.find(kind, name.partition("/")[0]).create

    def types(self, kind: str) -> list[str]:
        """Give the type names that *kind* has."""
        added = [name.partition(".") for name in self._added]
        return sorted({*self.built_in[kind], *(rest for first, _, rest in added if first == kind)})
