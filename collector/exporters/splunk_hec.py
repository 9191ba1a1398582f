"""
Forwarding to Splunk's HTTP Event Collector.

https://help.splunk.com/en/splunk-enterprise/get-data-in/collect-http-event-data
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from collector.forwarding import fields
from collector.forwarding.http import Body, HttpTarget, common, of_record, retry_after, told
from collector.forwarding.items import each
from collector.forwarding.settings import Age, HttpForwarder
from collector.forwarding.target import Answer, Bad, Done, Refused, Retry, Split, Stop
from collector.secrets import Secret  # noqa: TC001  msgspec reads the annotations

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from storage.stored import Stored

COLLECTOR = "/services/collector"
PATH = f"{COLLECTOR}/event"
ASKED_EVERY = 1.0  # seconds, for an acknowledgement
MOST_BYTES = 2 * 1024 * 1024  # of a body; a single event may be larger
# Names of theirs, which a field would put something else in the place of.
RESERVED = frozenset({"event", "host", "index", "linecount", "source", "sourcetype", "time"})

STOPPING = {1, 2, 3, 4, 7, 10, 11, 14, 16}  # the token, the index or the channel
RETRIED = {8, 9, 18, 19, 20}
OF_ONE_EVENT = {6, 12, 13, 15}  # its format, its text, or its fields


class SplunkHec(HttpForwarder, frozen=True, kw_only=True):
    """Forwarding to Splunk; names as in OpenTelemetry's exporter."""

    token: Secret
    index: str = ""  # without one the token's
    source: str = ""  # without one the record's service
    sourcetype: str = "otel"
    channel: str = ""  # a GUID, which tokens with indexer acknowledgement demand
    ack_timeout: Age = 120.0  # for the acknowledgement of a batch; 0 doesn't wait for it


class Encoder:
    """Makes the body of a batch: a JSON object a record, one after another."""

    def __init__(self, config: SplunkHec) -> None:
        self._path = "" if config.endpoint.rstrip("/").endswith(COLLECTOR) else PATH
        if config.endpoint.endswith(PATH):
            self._path = ""
        given = {"index": config.index, "source": config.source, "sourcetype": config.sourcetype}
        self._given = {name: value for name, value in given.items() if value}  # goes first
        self._reader = fields.Reader()
        self._encode = msgspec.json.Encoder().encode

    def __call__(self, records: Sequence[Stored]) -> Generator[None, None, Body | Answer]:
        """Encode *records*, slice by slice."""
        events, refused = yield from each(records, self._event)
        data = b"\n".join(events)
        if len(data) > MOST_BYTES and len(events) > 1:
            return Split(f"{len(data)} bytes, the most is {MOST_BYTES}")
        return Body(data=data, content_type="application/json", path=self._path, refused=refused)

    def _event(self, stored: Stored) -> bytes:
        found = self._reader.read(stored)
        given = {
            "service": found.service,
            "env": found.env,
            "otel.log.severity.text": found.level,
            "otel.log.severity.number": str(found.severity_number or ""),
            "trace_id": found.trace_id,
            "span_id": found.span_id,
            "time_unix_nano": str(found.time),
            "observed_time_unix_nano": str(found.observed or ""),
            "log.record.uid": found.uid,
        }
        kept: dict[str, Any] = {name: value for name, value in given.items() if value}
        named = fields.distinct(found.attributes, RESERVED | given.keys(), _name)
        kept |= {name: _value(value) for name, value in named.items()}
        event: dict[str, Any] = {"time": _seconds(found.time)}
        known = {"host": found.host, "source": found.service} | self._given
        event |= {name: value for name, value in known.items() if value}
        # A blank event is refused; a record that says nothing still has what is known of it.
        event["event"] = found.message if found.message.strip() else kept
        event["fields"] = kept
        return self._encode(event)


def _name(name: str) -> str:
    """Give a name to a field; those that begin so are Splunk's own."""
    return f"attributes.{name}" if name.startswith("_") else name


def _value(value: Any) -> str | list[str]:
    """Give an attribute as a field has it: text, or a list of texts."""
    return list(map(fields.text, value)) if isinstance(value, list) else fields.text(value)


def _seconds(time: int) -> msgspec.Raw:
    """Give ns since 1970 as seconds with milliseconds, no digit of which a float would change."""
    sign, (seconds, rest) = "-" if time < 0 else "", divmod(abs(time) // 1_000_000, 1_000)
    return msgspec.Raw(f"{sign}{seconds}.{rest:03d}".encode())


class Accepted(Done, frozen=True, kw_only=True):
    """Splunk has the batch, and will have indexed it when it acknowledges *ack*."""

    ack: int


class _Reply(msgspec.Struct):
    """What Splunk answers."""

    code: int
    text: str = ""
    number: int | None = msgspec.field(default=None, name="invalid-event-number")
    ack: int | None = msgspec.field(default=None, name="ackId")


class _Acknowledged(msgspec.Struct):
    acks: dict[str, bool]


_decode_acknowledged = msgspec.json.Decoder(_Acknowledged).decode
_decode = msgspec.json.Decoder(_Reply).decode


def answer(
    status: int, headers: Mapping[str, str], body: bytes, records: Sequence[Stored]
) -> Answer:
    """Give what an answer means: its code says more than the status."""
    try:
        reply = _decode(body)
    except msgspec.DecodeError:
        reply = _Reply(code=-1, text="not the answer of an HTTP Event Collector")
    reason = f"code {reply.code}: {told(status, reply.text.encode())}"
    match reply.code:
        case 0 if 200 <= status < 300:
            return Done() if reply.ack is None else Accepted(ack=reply.ack)
        case code if code in STOPPING:
            return Stop(reason)
        case code if code in OF_ONE_EVENT:
            return _blamed(reply.number, reason, status, len(records))
        case code if code in RETRIED or 200 <= status < 300:
            return Retry(reason, retry_after(headers), of_record(status))
        case _:
            return common(status, headers, body, records)


def _blamed(number: int | None, reason: str, status: int, count: int) -> Answer:
    """
    Give what to do about the one event that Splunk stopped at, having taken those before it.

    Its *number* counts from 0 in some answers and from 1 in others, so that only 0 names a place
    for sure. Else all is sent again that was surely not taken, until the event is the first.
    """
    if number == 0:
        return Done(refused=(Refused(0, reason, status),), retry=tuple(range(1, count)))
    if number is not None and 2 <= number < count:
        return Done(retry=tuple(range(number - 1, count)))
    return Bad(reason, status)


class SplunkTarget(HttpTarget):
    """Counts a batch as sent when it is acknowledged, where Splunk does so for the token."""

    def __init__(self, config: SplunkHec, headers: Mapping[str, str], asked_every: float) -> None:
        super().__init__(config, Encoder(config), answer, headers=headers)
        base = config.endpoint.rstrip("/").removesuffix("/event").removesuffix(COLLECTOR)
        self._url = f"{base}{COLLECTOR}/ack?channel={quote(config.channel)}"
        self._timeout = config.ack_timeout if config.channel else 0.0
        self._asked_every = asked_every

    async def post(self, body: Body, sent: Sequence[Stored]) -> Answer:
        """Send a body, and wait until what it has is indexed."""
        found = await super().post(body, sent)
        if self._timeout and isinstance(found, Accepted):
            return await self._acknowledged(found.ack)
        return found

    async def _acknowledged(self, ack: int) -> Answer:
        """Ask for *ack* until it is there; who isn't told in time sends again."""
        end = time.monotonic() + self._timeout
        question = msgspec.json.encode({"acks": [ack]})
        found: Answer = Retry("")
        while isinstance(found, Retry) and time.monotonic() < end:
            await asyncio.sleep(self._asked_every)
            found = await self.exchange(
                self._url,
                question,
                {"Content-Type": "application/json"},
                lambda status, headers, body: acknowledgement(status, headers, body, ack),
            )
        if isinstance(found, Retry):
            return Retry(f"not acknowledged within {self._timeout:g} s: {found.reason}")
        return found if isinstance(found, Stop) else Done()


def acknowledgement(status: int, headers: Mapping[str, str], body: bytes, ack: int) -> Answer:
    """Give what an answer to the question for *ack* means: Done, Stop, or Retry to ask again."""
    try:
        there = 200 <= status < 300 and _decode_acknowledged(body).acks.get(str(ack), False)
    except msgspec.DecodeError:
        there = False
    if there:
        return Done()
    found = answer(status, headers, body, ())
    if isinstance(found, Stop | Retry) and not 200 <= status < 300:
        return found
    return Retry(told(status, body))


def target(config: SplunkHec, asked_every: float = ASKED_EVERY) -> HttpTarget:
    """Make the target of *config*, which asks for acknowledgements every so many seconds."""
    headers = {"Authorization": f"Splunk {config.token}"}
    if config.channel:
        headers["X-Splunk-Request-Channel"] = config.channel
    return SplunkTarget(config, headers, asked_every)
