"""
Every environment variable that says how a service logs, read in one place.

What an exporter needs for its connection (addresses, headers, timeouts) it reads itself;
here is decided which exporters there are, and all the rest. A value that can't be used is
said once on stderr, and the default taken.

The service's name is the first of: OTEL_SERVICE_NAME, ``service.name`` in
OTEL_RESOURCE_ATTRIBUTES, the argument of `configure_logging`, PIXSIM_SERVICE_NAME,
PIXSIM_SERVICE, SERVICE_NAME, "unknown". Its environment is ``deployment.environment.name``
in OTEL_RESOURCE_ATTRIBUTES, PIXSIM_ENV, or "dev".
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import sys
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import unquote

import msgspec

from . import levels

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

OFF = sys.maxsize  # a least level that no event has

SPAN_ATTRIBUTES = frozenset(
    {
        "request_id",
        "job_id",
        "submission_id",
        "artifact_id",
        "generation_id",
        "provider_job_id",
        "provider_id",
        "operation_type",
        "stage",
        "user_id",
        "domain",
        "channel",
        "attempt",
    }
)

OTLP_HTTP, OTLP_GRPC = "pixsim_otlp", "otlp_proto_grpc"
PIXSIM, POSTGRES = "pixsim", "pixsim_postgres"
_NO = frozenset({"0", "false", "no"})
_DATABASES = ("PIXSIM_LOG_DB_URL", "LOG_DATABASE_URL", "DATABASE_URL")
MOST_SAID = 100  # different problems
_said: set[str] = set()
T = TypeVar("T", int, float)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How a service logs."""

    service: str = "unknown"
    environment: str = "dev"
    level: int = logging.INFO  # Python's number
    json: bool = True  # on the console
    exclude_paths: frozenset[str] = frozenset({"/health"})
    sample_paths: dict[str, int] = {}  # path: one of how many is kept
    sample_provider_status: int = 1
    span_attributes: frozenset[str] = SPAN_ATTRIBUTES
    exporters: tuple[str, ...] = ()  # entry points of opentelemetry_logs_exporter
    fallback: tuple[str, ...] = ()  # what is used if none of them can be made
    batching: dict[str, Batching] = {}  # by exporter


class Batching(msgspec.Struct, frozen=True, kw_only=True):
    """When a batch leaves, unless OTEL_BLRP_* say it; None where the variable is not set."""

    records: int | None = None
    seconds: float | None = None


def read(
    service: str | None = None,
    *,
    json: bool | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Settings:
    """Read the settings of a service that calls itself *service*."""
    resource = _pairs(environ.get("OTEL_RESOURCE_ATTRIBUTES", ""), separator="=")
    exporters, fallback = _exporters(environ)
    return Settings(
        service=(
            environ.get("OTEL_SERVICE_NAME")
            or unquote(resource.get("service.name", ""))
            or service
            or _first(environ, "PIXSIM_SERVICE_NAME", "PIXSIM_SERVICE", "SERVICE_NAME")
            or "unknown"
        ),
        environment=(
            unquote(resource.get("deployment.environment.name", ""))
            or environ.get("PIXSIM_ENV", "dev")
        ),
        level=_level(environ, "PIXSIM_LOG_LEVEL"),
        json=environ.get("PIXSIM_LOG_FORMAT", "json").lower() != "human" if json is None else json,
        exclude_paths=frozenset(_list(environ.get("PIXSIM_LOG_EXCLUDE_PATHS", "/health"))),
        sample_paths=_rates(environ, "PIXSIM_LOG_SAMPLE_PATHS"),
        sample_provider_status=_number(environ, "PIXSIM_LOG_SAMPLING_PROVIDER_STATUS", int) or 1,
        span_attributes=(
            frozenset(_list(environ["PIXSIM_LOG_SPAN_ATTRIBUTES"]))
            if "PIXSIM_LOG_SPAN_ATTRIBUTES" in environ
            else SPAN_ATTRIBUTES
        ),
        exporters=exporters,
        fallback=fallback,
        batching={
            PIXSIM: _batching(environ, "PIXSIM_LOG_INGESTION"),
            POSTGRES: _batching(environ, "PIXSIM_LOG_DB"),
        },
    )


def domains(environ: Mapping[str, str] = os.environ) -> dict[str, int]:
    """Read the least level of each domain that has its own, from PIXSIM_LOG_DOMAINS."""
    return domain_levels(_pairs(environ.get("PIXSIM_LOG_DOMAINS", ""), separator=":"))


def domain_levels(given: Mapping[str, str]) -> dict[str, int]:
    """Give the numbers of domains' levels; `OFF` is one, what is no level is left out."""
    found = {}
    for domain, name in given.items():
        number = OFF if name.strip().upper() == "OFF" else levels.threshold(name)
        if number is None:
            say(f"PIXSIM_LOG_DOMAINS: {name!r} is no level, so {domain!r} has none of its own")
        else:
            found[domain.strip().lower()] = number
    return found


def _exporters(environ: Mapping[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """
    Choose the exporters, and those that take their place if they can't be made.

    OpenTelemetry's variables go before pixsim's. Of pixsim's, a database goes before the
    ingestion endpoint; to have both, PIXSIM_LOG_ENABLE_HTTP must be "force".
    """
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return (), ()
    if chosen := _list(environ.get("OTEL_LOGS_EXPORTER", "")):
        ours = {"otlp": _otlp(environ), "otlp_proto_http": OTLP_HTTP}
        return tuple(ours.get(name, name) for name in chosen if name != "none"), ()
    if _first(environ, "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"):
        return (_otlp(environ),), ()
    wanted = environ.get("PIXSIM_LOG_ENABLE_HTTP", "true").strip().lower()
    http = (PIXSIM,) if environ.get("PIXSIM_LOG_INGESTION_URL") and wanted not in _NO else ()
    if not _first(environ, *_DATABASES):
        return http, ()
    return ((POSTGRES, *http), ()) if wanted == "force" else ((POSTGRES,), http)


def _otlp(environ: Mapping[str, str]) -> str:
    """Give the OTLP exporter for the protocol that is asked for."""
    names = ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    protocol = _first(environ, *names).strip().lower()
    if protocol == "grpc":
        return OTLP_GRPC
    if protocol not in {"", "http/protobuf"}:
        say(f"OTLP's protocol {protocol!r} is not known here, so http/protobuf is spoken")
    return OTLP_HTTP


def _level(environ: Mapping[str, str], name: str) -> int:
    """Read a least level; INFO where it is none."""
    text = environ.get(name) or "INFO"
    found = levels.threshold(text)
    if found is None:
        say(f"{name}: {text!r} is no level, so it is INFO")
    return logging.INFO if found is None else found


def _batching(environ: Mapping[str, str], prefix: str) -> Batching:
    return Batching(
        records=_number(environ, f"{prefix}_BATCH_SIZE", int),
        seconds=_number(environ, f"{prefix}_FLUSH_INTERVAL", float),
    )


def _rates(environ: Mapping[str, str], name: str) -> dict[str, int]:
    """Read ``path:N`` pairs; a path may have colons itself."""
    found = {}
    for rule in _list(environ.get(name, "")):
        path, _, text = rule.rpartition(":")
        if text.strip().isdecimal() and path:
            found[path.strip()] = int(text)
        else:
            say(f"{name}: {rule!r} is not path:N, so it samples nothing")
    return {path: rate for path, rate in found.items() if rate > 1}


def _number(environ: Mapping[str, str], name: str, kind: Callable[[str], T]) -> T | None:
    """Read a positive number; None where there is none."""
    text = environ.get(name, "").strip()
    if not text:
        return None
    try:
        if math.isfinite(found := kind(text)) and found > 0:
            return found
    except ValueError:
        pass
    say(f"{name}: {text!r} is no positive number, so the default is taken")
    return None


def _pairs(text: str, separator: str) -> dict[str, str]:
    """Read ``name<separator>value`` pairs; what is no pair is left out."""
    pairs = (part.split(separator, 1) for part in _list(text) if separator in part)
    return {name.strip(): value.strip() for name, value in pairs}


def _list(text: str) -> list[str]:
    """Read names between commas."""
    return [name for part in text.split(",") if (name := part.strip())]


def _first(environ: Mapping[str, str], *names: str) -> str:
    """Give the first of the variables that is set to something, or an empty text."""
    return next((value for name in names if (value := environ.get(name))), "")


def say(problem: str) -> None:
    """Tell *problem* on stderr, once in a process: it may be met at every log call."""
    if problem not in _said and len(_said) < MOST_SAID:
        _said.add(problem)
        with contextlib.suppress(OSError, ValueError):  # stderr is full, or closed
            print(f"pixsim_otel: {problem}", file=sys.stderr, flush=True)  # noqa: T201
