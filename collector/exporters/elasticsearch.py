"""
Forwarding to Elasticsearch or OpenSearch by ``_bulk``, as documents of ECS.

Each document is created under the record's own id, so that one which is sent again is not there
twice: the conflict that it meets is success. Attributes are texts in ``labels``, with underscores
for dots, for whatever is called ``a`` here and ``a.b`` there would make an index refuse one.
https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import msgspec

from collector.forwarding import fields
from collector.forwarding.http import Body, HttpTarget, common, of_record
from collector.forwarding.items import each
from collector.forwarding.settings import Batch, HttpForwarder
from collector.forwarding.target import Answer, Done, Refused, Retry, Stop
from collector.secrets import Secret  # noqa: TC001  msgspec reads the annotations
from storage import moments

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence

    from collector.forwarding.fields import Fields
    from storage.stored import Stored

PATH = "/_bulk"
ANSWERED = "errors,items.*.status,items.*.error"  # all of an answer that is read
ECS = {"version": "8.11.0"}
LONGEST_INDEX = 255  # bytes
LONGEST_DURATION = 9e12  # ms
_INDEX = re.compile(r"[^-_+A-Z\\/*?\"<>| ,#:][^A-Z\\/*?\"<>| ,#:]*")
_DATES = re.compile(r"%[YmdHGV]")
_NOT_IN_NAMES = re.compile(r'[.*"\s\\]')
# What Elasticsearch quotes of a record.
_QUOTED = re.compile(
    r"\s*Preview of field's value:.*|For input string:.*|\[[^\[\]]{80,}\]", re.DOTALL
)


class Elasticsearch(HttpForwarder, frozen=True, kw_only=True):
    """Forwarding to Elasticsearch or OpenSearch; names as in OpenTelemetry's exporter."""

    batch: Batch = Batch(max_records=5_000, max_bytes=5_000_000)
    index: str = "logs-pixsim-default"  # a data stream, or an index; %Y, %m and so on of its time
    pipeline: str = ""  # an ingest pipeline of theirs
    user: str = ""
    password: Secret = ""
    api_key: Secret = ""  # as Elasticsearch shows it "encoded"

    def problems(self) -> Iterator[str]:
        """Give what is wrong between the settings."""
        yield from HttpForwarder.problems(self)
        plain = _DATES.sub("0", self.index)
        if not _INDEX.fullmatch(plain) or "%" in plain or len(plain.encode()) > LONGEST_INDEX:
            yield f"index: expected the name of an index, in lower case, found {self.index!r}"
        if self.api_key and (self.user or self.password):
            yield "expected api_key, or user and password, found both"
        if bool(self.user) != bool(self.password):
            yield "user and password belong together"


class Encoder:
    """Makes the body of a batch: two lines a record."""

    def __init__(self, config: Elasticsearch) -> None:
        self._index = config.index
        self._dated = "%" in config.index
        query = {"filter_path": ANSWERED} | (
            {"pipeline": config.pipeline} if config.pipeline else {}
        )
        self._path = f"{PATH}?{urlencode(query, safe=',*')}"
        self._reader = fields.Reader()
        self._encode = msgspec.json.Encoder().encode

    def __call__(self, records: Sequence[Stored]) -> Generator[None, None, Body | Answer]:
        """Encode *records*, slice by slice."""
        lines, refused = yield from each(records, self._lines)
        return Body(
            data=b"".join(lines),
            content_type="application/x-ndjson",
            path=self._path,
            refused=refused,
        )

    def _lines(self, stored: Stored) -> bytes:
        found = self._reader.read(stored)
        index = self._index
        if self._dated:
            index = moments.time(stored.record.timestamp).strftime(index)
        action = {"create": {"_index": index, "_id": found.uid}}
        return b"%b\n%b\n" % (self._encode(action), self._encode(document(found)))


def document(found: Fields) -> dict[str, Any]:
    """Give a record as a document of ECS; what it has nothing for is left out."""
    named = fields.distinct(found.attributes, (), _label)
    labels = {name: None if value is None else fields.text(value) for name, value in named.items()}
    parts: dict[str, dict[str, Any]] = {
        "log": {"level": found.level},
        "event": {
            "severity": found.severity_number or None,
            "created": fields.rfc3339(found.observed) if found.observed is not None else None,
            "duration": _nanoseconds(found.attributes.get("duration_ms")),
        },
        "service": {
            "name": found.service,
            "environment": found.env,
            "version": labels.pop("service_version", None),
            "node": {"name": node} if (node := labels.pop("instance_id", None)) else None,
        },
        "host": {"name": found.host},
        "trace": {"id": found.trace_id},
        "span": {"id": found.span_id},
        "error": {
            "message": labels.pop("error", None),
            "type": labels.pop("error_type", None),
            "stack_trace": labels.pop("exception_stacktrace", None),
        },
        "ecs": ECS,
    }
    made: dict[str, Any] = {"@timestamp": fields.rfc3339(found.time), "message": found.message}
    for name, part in parts.items():
        if there := {key: value for key, value in part.items() if value not in (None, "")}:
            made[name] = there
    if labels:
        made["labels"] = labels
    return made


def _nanoseconds(milliseconds: Any) -> int | None:
    """Give a duration as ECS has it, if 64 bits have room for it."""
    if not isinstance(milliseconds, (int, float)) or abs(milliseconds) >= LONGEST_DURATION:
        return None
    return round(milliseconds * 1e6)


def _label(name: str) -> str:
    return _NOT_IN_NAMES.sub("_", name)


class _Result(msgspec.Struct):
    """What became of one document."""

    status: int
    error: Any = None


class _Results(msgspec.Struct):
    """What became of all, in their order; each is under the name of its action."""

    errors: bool
    items: list[dict[str, _Result]] = []


_decode = msgspec.json.Decoder(_Results).decode


def answer(
    status: int, headers: Mapping[str, str], body: bytes, records: Sequence[Stored]
) -> Answer:
    """Give what an answer means: a 200 has a result for each document."""
    if not 200 <= status < 300:
        return common(status, headers, body, records)
    try:
        results = _decode(body)
    except msgspec.DecodeError:
        return Retry(f"HTTP {status}, but the answer is none of _bulk")
    if not results.errors:
        return Done()
    if len(results.items) != len(records):
        return Retry(f"{len(results.items)} results for {len(records)} documents")
    refused: list[Refused] = []
    retry: list[int] = []
    blamed: int | None = None
    for place, item in enumerate(results.items):
        for result in item.values():
            if result.status < 300 or result.status == 409:  # it was there already
                continue
            if result.status == 429 or result.status >= 500:
                retry.append(place)
                blamed = blamed or of_record(result.status)
            elif result.status in {401, 403, 404}:
                return Stop(_reason(result))
            else:
                refused.append(Refused(place, _reason(result), result.status))
    return Done(refused=tuple(refused), retry=tuple(retry), status=blamed)


def _reason(result: _Result) -> str:
    """Say why a document was not taken, without what is quoted of it."""
    error = result.error if isinstance(result.error, dict) else {"reason": result.error}
    parts = (str(part) for name in ("type", "reason") if (part := error.get(name)))
    told = _QUOTED.sub("", ": ".join(parts))[:300]
    return told or f"status {result.status}"


def target(config: Elasticsearch) -> HttpTarget:
    """Make the target of *config*."""
    return HttpTarget(config, Encoder(config), answer, headers=_authorization(config))


def _authorization(config: Elasticsearch) -> dict[str, str]:
    if config.api_key:
        return {"Authorization": f"ApiKey {config.api_key}"}
    if not config.user:
        return {}
    pair = f"{config.user}:{config.password}".encode()
    return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
