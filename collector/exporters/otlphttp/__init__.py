"""
Forwarding by OTLP/HTTP: to an OpenTelemetry Collector, another collector of ours, a vendor.

https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec.structs import replace

from collector.exporters.otlphttp import columns, json, mapping, protobuf
from collector.exporters.otlphttp.answers import answer
from collector.forwarding.fields import uid
from collector.forwarding.http import Body, HttpTarget
from collector.forwarding.settings import Batch, HttpForwarder, UrlOrEmpty
from collector.forwarding.target import Answer, Refused, Split
from collector.sections import Bytes  # noqa: TC001  msgspec reads the annotations
from collector.turns import SLICE

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from storage.records import Resource, Scope
    from storage.stored import Stored

PATH = "/v1/logs"


class OtlpHttp(HttpForwarder, frozen=True, kw_only=True):
    """Forwarding by OTLP/HTTP; the names are those of the OpenTelemetry Collector's exporter."""

    endpoint: UrlOrEmpty = ""
    batch: Batch = Batch(max_records=5_000, max_bytes=4_000_000)
    logs_endpoint: UrlOrEmpty = ""  # taken as it is, where the path is another
    encoding: Literal["proto", "json"] = "proto"
    max_request_body_size: Bytes = 4 * 1024 * 1024  # before compression; more is sent in halves
    record_uid: Literal["native", "all", "none"] = "native"

    def problems(self) -> Iterator[str]:
        """Give what is wrong between the settings."""
        yield from HttpForwarder.problems(self)
        if not self.endpoint and not self.logs_endpoint:
            yield "expected endpoint or logs_endpoint"


class Encoder:
    """Makes the body of a batch."""

    def __init__(self, config: OtlpHttp, path: str = PATH) -> None:
        self._config = config
        self._path = path
        self._encoding = json if config.encoding == "json" else protobuf
        self._shortens = config.encoding == "proto" and config.record_uid != "all"

    def __call__(self, records: Sequence[Stored]) -> Generator[None, None, Body | Answer]:
        """Encode *records*, slice by slice."""
        groups: dict[Resource | None, dict[Scope | None, list[bytes]]] = {}
        refused: list[Refused] = []
        resource = scope = group = None
        written: Sequence[bytes | None] = [None] * len(records)
        if self._shortens:
            written = yield from columns.records(records)
        for place, (stored, short) in enumerate(zip(records, written, strict=True)):
            if place % SLICE == SLICE - 1:
                yield
            if (encoded := short) is None:
                try:
                    encoded = self._encoding.record(self._record(stored))
                except columns.NOT_OTLP as exc:
                    refused.append(Refused(place, f"no record of OTLP: {type(exc).__name__}"))
                    continue
            its = stored.resource or mapping.resource(stored)
            if group is None or its is not resource or stored.scope is not scope:
                resource, scope = its, stored.scope
                group = groups.setdefault(resource, {}).setdefault(scope, [])
            group.append(encoded)
        data = self._encoding.request(groups)
        if len(data) > (most := self._config.max_request_body_size):
            return Split(f"{len(data)} bytes, the most is {most} (max_request_body_size)")
        return Body(
            data=data,
            content_type=self._encoding.MEDIA,
            path=self._path,
            refused=tuple(refused),
        )

    def _record(self, stored: Stored) -> mapping.Record:
        record = mapping.record(stored)
        wanted = self._config.record_uid
        if wanted == "all" or (wanted == "native" and not mapping.by_otlp(stored)):
            record.attributes = {mapping.UID: uid(stored.record)} | record.attributes
        return record


def target(config: OtlpHttp) -> HttpTarget:
    """Make the target of *config*."""
    if config.logs_endpoint:
        config, path = replace(config, endpoint=config.logs_endpoint), ""
    else:
        path = PATH
    return HttpTarget(config, Encoder(config, path), answer)
