"""
What can be set: the parts of config.yaml that are no component's own.

`collector.configfile` reads it, `collector.components` knows the components; the settings
of each stand beside its code.
"""

from __future__ import annotations

import os
from typing import Annotated, Literal

import msgspec

from collector.alerting.settings import Alerts
from collector.exporters.postgres import Postgres
from collector.forwarding.settings import Forwarder
from collector.pushing import Metrics
from collector.sections import Connections, HttpServer, RateLimits, Seconds, Section, servers
from collector.tracing import Traces

MOST_WORKERS = 64
MOST_BY_DEFAULT = 4  # workers; more are for who has measured that they help

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
    metrics: Metrics = Metrics()
    traces: Traces = Traces()


class Service(Section, frozen=True, kw_only=True):
    """Which of the components run, and how the collector stops."""

    extensions: tuple[str, ...] = ()
    pipelines: Pipelines = Pipelines()
    telemetry: Telemetry = Telemetry()
    # Who may send and ask: holders of keys, or anybody; auto is anybody on this machine, where
    # nothing listens elsewhere.
    access: Literal["auto", "keys", "anybody"] = "auto"
    rate_limits: RateLimits = RateLimits()
    connections: Connections = Connections()
    workers: Annotated[int, msgspec.Meta(ge=0, le=MOST_WORKERS)] = 0  # 0: see `Config.workers`
    shutdown_timeout: Seconds = 10.0  # for requests under way when it is told to stop


class Config(Section, frozen=True, kw_only=True):
    """The whole configuration, checked: each name in `service` is a component's here."""

    receivers: dict[str, Section]
    processors: dict[str, Section]
    exporters: dict[str, Section]
    extensions: dict[str, Section]
    alerts: Alerts = Alerts()
    service: Service

    @property
    def store(self) -> Postgres:
        """The settings of the exporter whose commit a sender waits for; there is one."""
        used = (self.exporters[name] for name in self.service.pipelines.logs.exporters)
        return next(exporter for exporter in used if isinstance(exporter, Postgres))

    @property
    def forwarders(self) -> dict[str, Forwarder]:
        """The settings of all other exporters, which send on what is stored, by name."""
        used = {name: self.exporters[name] for name in self.service.pipelines.logs.exporters}
        return {name: each for name, each in used.items() if isinstance(each, Forwarder)}

    @property
    def servers(self) -> list[HttpServer]:
        """The servers of the components that run."""
        logs = self.service.pipelines.logs
        parts = [self.receivers[name] for name in logs.receivers]
        parts += [self.extensions[name] for name in self.service.extensions]
        return [server for part in parts for _, server in servers(part)]

    @property
    def endpoints(self) -> list[str]:
        """Where they listen, each once."""
        return list(dict.fromkeys(server.endpoint for server in self.servers))

    @property
    def secure(self) -> set[str]:
        """Those of them that speak TLS."""
        return {server.endpoint for server in self.servers if server.tls.cert_file}

    @property
    def workers(self) -> int:
        """How many processes take records in."""
        cores = len(os.sched_getaffinity(0))
        return self.service.workers or max(1, min(MOST_BY_DEFAULT, cores // 2))
