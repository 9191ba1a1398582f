"""
Errors as answers: one table from what went wrong to a status, and one shape for each API.

On OTLP paths the body is a ``google.rpc.Status`` in the request's encoding (OTLP
specification, "Failures"), elsewhere ``{"detail": …}``.
"""

from __future__ import annotations

import http
from typing import Any

import msgspec
import structlog
from aiohttp import web
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from collector.errors import (
    BadRequest,
    RequestError,
    TooMany,
    Unauthorized,
    Unprocessable,
    UnsupportedMedia,
)
from storage.errors import KeyReused, Rejected, StorageError, Unavailable

log = structlog.get_logger()

OTLP_PREFIX = "/v1/"
JSON = "application/json"
PROTOBUF = "application/x-protobuf"
RETRY_AFTER = "1"  # seconds; senders of today give up when it exceeds their own timeout
# google.rpc.Code for an HTTP status
CODES = dict.fromkeys((400, 414, 415, 422, 431), 3) | {
    401: 16,
    403: 7,
    404: 5,
    405: 12,
    408: 4,
    413: 8,
    429: 8,
    503: 14,
}
INTERNAL = 13
LONGEST_MESSAGE = 1_000  # characters
_UNREAD = {http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE, http.HTTPStatus.REQUEST_TIMEOUT}
MOST_VIOLATIONS = 20


def failure(request: web.Request, exc: Exception) -> web.Response:
    """Give the answer for *exc*; one we don't know is our bug, logged and not told."""
    status, message, headers = _described(exc)
    if status == http.HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("request_failed", path=request.path, exc_info=exc)
    body: bytes
    if not request.path.startswith(OTLP_PREFIX):
        content_type = JSON
        detail: Any = exc.details if isinstance(exc, Unprocessable) else message
        body = msgspec.json.encode({"detail": detail}) + b"\n"
    elif request.content_type == PROTOBUF:
        content_type = PROTOBUF
        body = _status(status, message, exc).SerializeToString()
    else:
        content_type = JSON
        body = _status_json(status, message, exc)
    response = web.Response(status=status, body=body, content_type=content_type, headers=headers)
    if status in _UNREAD:
        response.force_close()  # nobody wants to read the rest
    return response


def nowhere(status: int, message: str) -> bytes:
    """Give the body of an answer to what is not known to have a path: in both shapes at once."""
    return msgspec.json.encode({"code": CODES[status], "message": message, "detail": message})


def raw(status: int, message: str) -> bytes:
    """Give all bytes of such an answer, after which the connection ends."""
    body = nowhere(status, message)
    head = (
        f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}\r\nContent-Type: {JSON}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


def reason(exc: Exception) -> str:
    """Give the counter's label for *exc*."""
    if isinstance(exc, RequestError):
        return exc.reason
    if isinstance(exc, ConnectionError):
        return "disconnected"
    return type(exc).__name__.lower() if isinstance(exc, StorageError) else "error"


def _described(exc: Exception) -> tuple[int, str, dict[str, str]]:
    match exc:
        case UnsupportedMedia() | Unauthorized() | TooMany():
            return exc.status, str(exc), exc.headers
        case RequestError():
            return exc.status, str(exc), {}
        case Unavailable():
            return 503, str(exc), {"Retry-After": RETRY_AFTER}
        case Rejected() | ConnectionError():  # whose sender has gone, and reads no answer
            return 422 if isinstance(exc, KeyReused) else 400, str(exc), {}
        case web.HTTPException():
            kept = {k: v for k, v in exc.headers.items() if k in {"Allow", "Location"}}
            known = exc.text or exc.reason
            text = known if known != f"{exc.status}: {exc.reason}" else exc.reason
            return exc.status, text, kept
        case _:
            return 500, "internal error", {}


def _violations(exc: Exception) -> list[tuple[str, str]]:
    found = exc.violations[:MOST_VIOLATIONS] if isinstance(exc, BadRequest) else ()
    return [(v.field, v.description) for v in found]


def _status(status: int, message: str, exc: Exception) -> status_pb2.Status:
    code = CODES.get(status, INTERNAL)
    answer = status_pb2.Status(code=code, message=message[:LONGEST_MESSAGE])
    if violations := _violations(exc):
        detail = error_details_pb2.BadRequest()
        for field, description in violations:
            detail.field_violations.add(field=field, description=description)
        packed = any_pb2.Any()
        packed.Pack(detail)
        answer.details.append(packed)
    return answer


def _status_json(status: int, message: str, exc: Exception) -> bytes:
    answer: dict[str, Any] = {
        "code": CODES.get(status, INTERNAL),
        "message": message[:LONGEST_MESSAGE],
    }
    if violations := _violations(exc):
        answer["details"] = [
            {
                "@type": "type.googleapis.com/google.rpc.BadRequest",
                "fieldViolations": [{"field": f, "description": d} for f, d in violations],
            }
        ]
    return msgspec.json.encode(answer)
