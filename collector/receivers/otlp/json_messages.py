"""
The messages of OTLP JSON, read as far as their log records.

Those, and resources and scopes, stay encoded, so that a broken one costs only itself.
Usual messages are read with types. Where that fails, for a field we don't know or a name
in snake_case, the message is read once more, loosely.
"""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

from collector import values
from collector.errors import BadRequest, Violation
from collector.receivers.otlp.json_values import KeyValue, SimpleKeyValue
from collector.receivers.otlp.refusal import Refused, expected

# U+FFFD, in a mixture of cases that no sender writes, so that it tells a mended record.
_MENDED = b"\\uFfFd"
_NUL = b"\\u0000"
_TO_MEND = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a pair
    r"|\\[^u\udc80-\udcff]|\\u(?![dD][89a-fA-F])"
    r"|(?P<bad>\\u[dD][89a-fA-F][0-9a-fA-F]{2}|\\?[\udc80-\udcff])"
)
_NOTHING = msgspec.Raw(b"{}")
_NULL = msgspec.Raw(b"null")
_BOM = b"\xef\xbb\xbf"


class _Message(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What is read with types where its fields are ours; most values are checked later."""


class LogRecord(_Message):
    """One record."""

    time_unix_nano: Any = None
    observed_time_unix_nano: Any = None
    severity_number: Any = None
    severity_text: Any = None
    body: Any = None
    attributes: list[KeyValue] | None = None
    dropped_attributes_count: Any = None
    flags: Any = None
    trace_id: Any = None
    span_id: Any = None
    event_name: Any = None


class _Body(_Message):
    """A body that is a text."""

    string_value: str


class QuickRecord(_Message):
    """One record as most are, whose attributes are left to be looked up."""

    time_unix_nano: int = 0
    observed_time_unix_nano: int = 0
    severity_number: int = 0
    severity_text: str = ""
    body: _Body | None = None
    attributes: list[msgspec.Raw] = []
    dropped_attributes_count: int = 0
    flags: int = 0
    trace_id: str = ""
    span_id: str = ""
    event_name: str = ""


class Origin(_Message):
    """A resource, or a scope."""

    name: Any = None
    version: Any = None
    attributes: list[KeyValue] | None = None
    dropped_attributes_count: Any = None
    entity_refs: Any = None


class ScopeLogs(_Message):
    """Records of one scope."""

    scope: msgspec.Raw = _NOTHING
    log_records: list[msgspec.Raw] | None = None
    schema_url: Any = None


class ResourceLogs(_Message):
    """Records of one resource."""

    resource: msgspec.Raw = _NOTHING
    scope_logs: list[ScopeLogs] | None = None
    schema_url: Any = None


class Request(_Message):
    """An ``ExportLogsServiceRequest``."""

    resource_logs: list[ResourceLogs] | None = None


_M = TypeVar("_M", bound=_Message)
_REQUEST = msgspec.json.Decoder(Request)
ORIGIN = msgspec.json.Decoder(Origin)
RECORD = msgspec.json.Decoder(LogRecord)
_QUICK_RECORD = msgspec.json.Decoder(QuickRecord, strict=False)  # integers may be texts
KEY_VALUE = msgspec.json.Decoder(KeyValue)
SIMPLE_KEY_VALUE = msgspec.json.Decoder(SimpleKeyValue)
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_ANY = msgspec.json.Decoder()
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ELEMENTS = msgspec.json.Decoder(list[msgspec.Raw])


def request(body: bytes) -> Request:
    """
    Read a request.

    Raises:
        BadRequest: it is not JSON, or not an ``ExportLogsServiceRequest``.
    """
    body = body.removeprefix(_BOM)
    try:
        try:
            return _REQUEST.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return _loose_request(_mended(body))
    except msgspec.DecodeError as exc:
        raise BadRequest(f"the body is not JSON: {exc}", (Violation("", str(exc)),)) from exc
    except RecursionError as exc:
        problem = "arrays or objects nested too deep"
        raise BadRequest(problem, (Violation("", problem),)) from exc
    except Refused as exc:
        raise BadRequest(f"{exc.field}: {exc}", (Violation(exc.field, str(exc)),)) from exc


def quick(raw: bytes) -> QuickRecord | None:
    """
    Read a record as far as its attributes, or give None where it isn't a usual one.

    Its integers may have any size, and no text in it has a NUL.
    """
    if b"\\" in raw and (_MENDED in raw or _NUL in raw):
        return None
    try:
        return _QUICK_RECORD.decode(raw)
    except UNREADABLE:
        return None


def read(decoder: msgspec.json.Decoder[_M], raw: bytes, changes: set[str]) -> _M:
    """
    Read a message, with types or loosely; null is an empty one.

    Raises:
        Refused: it is no object.
    """
    try:
        found = decoder.decode(raw)
    except UNREADABLE:
        raw = _mended(raw)
        try:
            members = _ANY.decode(raw)
        except (msgspec.DecodeError, RecursionError) as exc:  # such as a number of 10,000 digits
            raise Refused(str(exc)) from exc
        if members is None:
            return decoder.type()
        if type(members) is not dict:
            raise expected("an object", members) from None
        found = decoder.type(**_known(decoder.type, members))
    if b"\\" in raw and _MENDED in raw:  # one byte is found much faster than six
        changes.add(values.UNICODE)
    return found


def _loose_request(body: bytes) -> Request:
    members = _members(Request, body, "the body")
    return Request(
        resource_logs=[
            _loose_resource_logs(raw, f"resourceLogs[{place}]")
            for place, raw in enumerate(_elements(members.get("resource_logs"), "resourceLogs"))
        ]
    )


def _loose_resource_logs(raw: msgspec.Raw, path: str) -> ResourceLogs:
    members = _members(ResourceLogs, raw, path)
    scope_logs = _elements(members.pop("scope_logs", None), f"{path}.scopeLogs")
    return ResourceLogs(
        scope_logs=[
            _loose_scope_logs(each, f"{path}.scopeLogs[{place}]")
            for place, each in enumerate(scope_logs)
        ],
        **_with_schema_url(members),
    )


def _loose_scope_logs(raw: msgspec.Raw, path: str) -> ScopeLogs:
    members = _members(ScopeLogs, raw, path)
    records = _elements(members.pop("log_records", None), f"{path}.logRecords")
    return ScopeLogs(log_records=records, **_with_schema_url(members))


def _members(message: type[_Message], raw: Any, path: str) -> dict[str, Any]:
    try:
        members = _MEMBERS.decode(raw)
    except msgspec.ValidationError:
        raise expected("an object", bytes(raw).decode()).within(path) from None
    return _known(message, members)


def _elements(raw: msgspec.Raw | None, path: str) -> list[msgspec.Raw]:
    try:
        return [] if raw is None else _ELEMENTS.decode(raw)
    except msgspec.ValidationError:
        raise expected("an array", bytes(raw or b"").decode()).within(path) from None


def _with_schema_url(members: dict[str, Any]) -> dict[str, Any]:
    if "schema_url" in members:
        members["schema_url"] = _ANY.decode(members["schema_url"])
    return members


def _known(message: type[_Message], members: dict[str, Any]) -> dict[str, Any]:
    """Give the members that are *message*'s fields, by their names there."""
    names = {name: name for name in message.__struct_fields__}
    names.update(zip(message.__struct_encode_fields__, message.__struct_fields__, strict=True))
    return {
        names[name]: value
        for name, value in members.items()
        if name in names and value is not None and value != _NULL
    }


def _mended(raw: bytes) -> bytes:
    """Replace bytes that are not UTF-8, and halves of surrogate pairs, in strings."""
    text = raw.decode(errors="surrogateescape")
    mended = _TO_MEND.sub(lambda m: m[0] if m["bad"] is None else _MENDED.decode(), text)
    return mended.encode()
