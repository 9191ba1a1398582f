"""What the answer of an OTLP receiver means."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

from collector.forwarding import http
from collector.forwarding.target import Answer, Done, Retry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from storage.stored import Stored


class _Rejected(msgspec.Struct, rename="camel"):
    rejected_log_records: int | str | None = None  # OTLP has 64-bit integers as text
    error_message: str | None = None


class _Response(msgspec.Struct, rename="camel"):
    partial_success: _Rejected | None = None


class _Status(msgspec.Struct):
    message: str | None = None


def answer(
    status: int, headers: Mapping[str, str], body: bytes, records: Sequence[Stored]
) -> Answer:
    """
    Give what an answer means.

    A 200 with a page of HTML comes from something in between, and settles nothing. Any other
    body that can't be read doesn't make a 200 less of one, or its records would be sent without
    end.
    """
    media = next((v for name, v in headers.items() if name.lower() == "content-type"), "")
    if not 200 <= status < 300:
        reason = _told(body)
        return http.common(status, headers, body if reason is None else reason.encode(), records)
    if "html" in media.lower():
        return Retry(f"HTTP {status} with a page of HTML, which no receiver of OTLP sends")
    found = _partial(body)
    if found is None:
        return Done(note=f"HTTP {status} with a body that is no OTLP")
    rejected, note = found
    return Done(rejected=min(max(rejected, 0), len(records)), note=note[: http.LONGEST_REASON])


def _partial(body: bytes) -> tuple[int, str] | None:
    """Read how many records were rejected, and why, whatever the body is said to be."""
    try:
        if body.lstrip().startswith(b"{"):
            partial = msgspec.json.decode(body, type=_Response).partial_success or _Rejected()
            return int(partial.rejected_log_records or 0), partial.error_message or ""
        response = ExportLogsServiceResponse.FromString(body).partial_success
    except (ValueError, DecodeError):  # msgspec's are the former
        return None
    return response.rejected_log_records, response.error_message


def _told(body: bytes) -> str | None:
    """Read the message of a Status, whatever the body is said to be."""
    try:
        if body.lstrip().startswith(b"{"):
            return msgspec.json.decode(body, type=_Status).message
        return str(Status.FromString(body).message) or None
    except (ValueError, DecodeError):
        return None
