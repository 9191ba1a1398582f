"""
What an OTLP sender is told once its request is stored.

All of it stored as it came is an empty answer. Otherwise ``partial_success`` has the
number of records that are not stored, and says why in English; or, with no number, what
of the stored ones had to be changed.
https://opentelemetry.io/docs/specs/otlp/#partial-success-1
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

from collector import values
from collector.access.permission import NOT_PERMITTED
from collector.receivers.otlp.json import SEVERITY
from collector.receivers.otlp.mapping import SPAN_ID, TRACE_ID
from collector.receivers.otlp.refusal import TOO_DEEP, TOO_LARGE, UNDECODABLE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from collector.receivers.otlp.mapping import Rows
    from storage.records import Refusal

JSON = "application/json"
PROTOBUF = "application/x-protobuf"

DATABASE = "database"
REFUSALS = {
    UNDECODABLE: "cannot be decoded",
    TOO_LARGE: "are too large",
    TOO_DEEP: "are nested too deep",
    NOT_PERMITTED: "are not what the key is for",
    DATABASE: "are refused by the database",
}
CHANGES = {
    values.NUL: "NUL in a text became U+FFFD",
    values.UNICODE: "what is not Unicode in a text became U+FFFD",
    values.INDEX: "an index into a table of strings, which logs don't have, was left out",
    TRACE_ID: "a trace id that is not 16 bytes was left out",
    SPAN_ID: "a span id that is not 8 bytes was left out",
    SEVERITY: "a severity number with an unknown name was left out",
}
MOST_REASONS = 20  # of the database, that are told
LONGEST_REASON = 300  # characters


def body(rows: Rows, refused: Sequence[Refusal], content_type: str) -> bytes:
    """Encode the answer for *rows*, of which the database refused *refused*."""
    rejected = rows.refused.total() + len(refused)
    message = _message(rows, refused)
    if content_type == PROTOBUF:
        answer = ExportLogsServiceResponse()
        if message:
            answer.partial_success.rejected_log_records = rejected
            answer.partial_success.error_message = message
        return answer.SerializeToString()
    if not message:
        return b"{}"
    partial = {"errorMessage": message}
    if rejected:  # an integer of 64 bits is a string in proto3's JSON
        partial = {"rejectedLogRecords": str(rejected), **partial}
    return msgspec.json.encode({"partialSuccess": partial})


def _message(rows: Rows, refused: Sequence[Refusal]) -> str:
    """Say what was refused, with the first places, and what was changed; "" where nothing was."""
    counts = {**rows.refused, **({DATABASE: len(refused)} if refused else {})}
    parts = [f"{_counted(counts, REFUSALS)}"] if counts else []
    parts += [f"{problem.field}: {problem.description}" for problem in rows.problems]
    parts += dict.fromkeys(each.reason[:LONGEST_REASON] for each in refused[:MOST_REASONS])
    if rows.changed:
        parts.append(f"stored with a change: {_counted(rows.changed, CHANGES)}")
    return "; ".join(parts)


def _counted(counts: Mapping[str, int], texts: Mapping[str, str]) -> str:
    return ", ".join(f"{count} {texts[reason]}" for reason, count in counts.items())
