"""
Forwarding to Datadog's logs intake.

https://docs.datadoghq.com/api/latest/logs/#send-logs
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from collector.forwarding import fields
from collector.forwarding.http import Body, HttpTarget
from collector.forwarding.items import each, limit
from collector.forwarding.settings import Age, Batch, HttpForwarder, UrlOrEmpty
from collector.forwarding.target import Split
from collector.secrets import Secret  # noqa: TC001  msgspec reads the annotations

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from collector.forwarding.fields import Fields
    from collector.forwarding.target import Answer
    from storage.stored import Stored

PATH = "/api/v2/logs"
MOST_BYTES = 5_000_000  # of a body before compression
MOST_RECORDS = 1_000
MOST_BYTES_OF_ONE = 1_000_000  # more is cut off there, in silence
# What Datadog takes a record's own properties from; an attribute must not be taken for one.
RESERVED = frozenset(
    {"message", "ddsource", "ddtags", "hostname", "host", "service", "status", "timestamp"}
)
_UINT64 = 2**64 - 1


class Datadog(HttpForwarder, frozen=True, kw_only=True):
    """Forwarding to Datadog."""

    api_key: Secret
    site: str = "datadoghq.com"
    endpoint: UrlOrEmpty = ""  # instead of the site's
    source: str = "otel"  # their name for who wrote it
    tags: tuple[str, ...] = ()  # such as team:video
    batch: Batch = Batch(max_records=MOST_RECORDS, max_bytes=3_000_000)
    max_age: Age = 18 * 3600.0  # older records get another time there

    def problems(self) -> Iterator[str]:
        """Give what is wrong between the settings."""
        yield from HttpForwarder.problems(self)
        if self.batch.max_records > MOST_RECORDS:
            yield f"batch.max_records: Datadog takes at most {MOST_RECORDS}"
        if urlsplit(f"//{self.site}").hostname != self.site:
            yield f"site: expected a name such as datadoghq.eu, found {self.site!r}"
        if any("," in tag for tag in self.tags):
            yield "tags: expected no commas in a tag"


class Encoder:
    """Makes the body of a batch: a list of objects."""

    def __init__(self, config: Datadog) -> None:
        self._source = config.source
        self._tags = config.tags
        self._path = "" if config.endpoint.endswith(PATH) else PATH
        self._reader = fields.Reader()
        self._encode = msgspec.json.Encoder().encode

    def __call__(self, records: Sequence[Stored]) -> Generator[None, None, Body | Answer]:
        """Encode *records*, slice by slice."""
        logs, refused = yield from each(records, self._log)
        data = b"[%b]" % b",".join(logs)
        if len(data) > MOST_BYTES:
            return Split(f"{len(data)} bytes, the most is {MOST_BYTES}")
        return Body(data=data, content_type="application/json", path=self._path, refused=refused)

    def _log(self, stored: Stored) -> bytes:
        found = self._reader.read(stored)
        made: dict[str, Any] = {
            "message": found.message,
            "ddsource": self._source,
            "ddtags": ",".join(_tags(found, self._tags)),
            "hostname": found.host,
            "service": found.service,
            "status": found.level if found.severity == fields.UNKNOWN_LEVEL else found.severity,
            "timestamp": found.time // 1_000_000,
            "timestamp_unix_nano": str(found.time),
            "observed_time_unix_nano": str(found.observed or ""),
            "level": found.level,
            "otel.trace_id": found.trace_id,
            "otel.span_id": found.span_id,
            "dd.trace_id": _decimal(found.trace_id, 32),
            "dd.span_id": _decimal(found.span_id, 16),
            "log.record.uid": found.uid,
        }
        taken = RESERVED | made.keys()
        made = {name: value for name, value in made.items() if value or name == "message"}
        made |= fields.distinct(found.attributes, taken)
        log = self._encode(made)
        limit(len(log), MOST_BYTES_OF_ONE, "bytes")
        return log


def _tags(found: Fields, given: Sequence[str]) -> Iterator[str]:
    if found.env:
        yield f"env:{found.env.replace(',', '_')}"
    if version := fields.text(found.attributes.get("service.version")):
        yield f"version:{version.replace(',', '_')}"
    yield from given


def _decimal(identifier: str, digits: int) -> str:
    """Give the lowest 64 bits of an id in hex as a decimal number, as Datadog's tracers do."""
    try:
        return str(int(identifier, 16) & _UINT64) if len(identifier) == digits else ""
    except ValueError:  # a native sender's, which may be anything
        return ""


def target(config: Datadog) -> HttpTarget:
    """Make the target of *config*."""
    endpoint = config.endpoint or f"https://http-intake.logs.{config.site}"
    config = replace(config, endpoint=endpoint)
    return HttpTarget(config, Encoder(config), headers={"DD-API-KEY": config.api_key})
