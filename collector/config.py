"""
What can be set: the parts of config.yaml that are no component's own.

`collector.configfile` reads it, `collector.components` knows the components; the settings
of each stand beside its code.
"""

from __future__ import annotations

from typing import Literal

from collector.exporters.postgres import Postgres
from collector.sections import Seconds, Section

# The sections that hold components, by a name ``type`` or ``type/name``.
KINDS = ("receivers", "processors", "exporters", "extensions")


class Pipeline(Section, frozen=True, kw_only=True):
    """The way of a record, by names of components; a list left out has all there are."""

    receivers: tuple[str, ...] = ()
    processors: tuple[str, ...] = ()  # in the order that they work in
    exporters: tuple[str, ...] = ()


class Pipelines(Section, frozen=True, kw_only=True):
    """The pipeline of each signal; ours is logs."""

    logs: Pipeline = Pipeline()


class Logs(Section, frozen=True, kw_only=True):
    """The collector's own log, on stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"


class Telemetry(Section, frozen=True, kw_only=True):
    """What the collector tells of itself."""

    logs: Logs = Logs()


class Service(Section, frozen=True, kw_only=True):
    """Which of the components run, and how the collector stops."""

    extensions: tuple[str, ...] = ()
    pipelines: Pipelines = Pipelines()
    telemetry: Telemetry = Telemetry()
    shutdown_timeout: Seconds = 10.0  # for requests under way when it is told to stop


class Config(Section, frozen=True, kw_only=True):
    """The whole configuration, checked: each name in `service` is a component's here."""

    receivers: dict[str, Section]
    processors: dict[str, Section]
    exporters: dict[str, Section]
    extensions: dict[str, Section]
    service: Service

    @property
    def store(self) -> Postgres:
        """The settings of the exporter whose commit a sender waits for; there is one."""
        used = (self.exporters[name] for name in self.service.pipelines.logs.exporters)
        return next(exporter for exporter in used if isinstance(exporter, Postgres))
