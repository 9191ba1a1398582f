"""
OTLP over HTTP, in protobuf: to our collector and to every other OpenTelemetry backend.

What is not given as an argument comes from ``OTEL_EXPORTER_OTLP_LOGS_*``, else from
``OTEL_EXPORTER_OTLP_*``; an empty variable is as none. The arguments' names are those of
the SDK's own exporter.
https://opentelemetry.io/docs/specs/otel/protocol/exporter/

Bodies are compressed unless ``…_COMPRESSION`` is ``none``: every receiver must take gzip,
and it costs a third of what encoding does for a quarter of the bytes. ``…_TIMEOUT`` is in
seconds, as everywhere in OpenTelemetry for Python.
"""

from __future__ import annotations

import logging
import math
import os
from typing import TYPE_CHECKING

from opentelemetry.util.re import parse_env_headers

from . import answers
from .encoding import Encoder
from .exporting import DEFAULT_TIMEOUT, SendingExporter
from .transport import Answer, Session, Tls

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .record import Record
    from .transport import Outcome

DEFAULT_ENDPOINT = "http://localhost:4318"
PATH = "/v1/logs"
PROTOBUF = "application/x-protobuf"

_logger = logging.getLogger(__name__)


class OTLPLogExporter(SendingExporter):
    """
    Sends records to *endpoint*, the whole URL, such as ``http://collector:4318/v1/logs``.

    Raises:
        ValueError: the endpoint is no HTTP URL, or a header cannot be sent.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        certificate_file: str | None = None,
        client_key_file: str | None = None,
        client_certificate_file: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,  # seconds
        compression: str | None = None,  # "gzip" or "none"
    ) -> None:
        super().__init__(_timeout() if timeout is None else timeout)
        self._encoder = Encoder()
        self._session = Session(
            endpoint or _endpoint(),
            headers={**parse_env_headers(_setting("HEADERS"), liberal=True), **(headers or {})},
            timeout=self.timeout,
            compress=_compress(compression or _setting("COMPRESSION")),
            tls=Tls(
                certificate=certificate_file or _setting("CERTIFICATE") or None,
                client_certificate=client_certificate_file
                or _setting("CLIENT_CERTIFICATE")
                or None,
                client_key=client_key_file or _setting("CLIENT_KEY") or None,
            ),
            explain=answers.status_message,
        )

    def send(self, records: Sequence[Record], /, *, timeout: float | None = None) -> Outcome:
        """Send *records* in one request."""
        body = self._encoder.encode(records)
        answer = self._session.post(body, PROTOBUF, timeout=timeout)
        if isinstance(answer, Answer):
            return answers.delivered(answer.body, len(records))
        return answer

    def close(self) -> None:
        """Give up the connections; another `send` would open new ones."""
        self._session.close()


def _setting(name: str) -> str:
    """Give the environment's value for logs, else that for all signals, else ""."""
    for variable in (f"OTEL_EXPORTER_OTLP_LOGS_{name}", f"OTEL_EXPORTER_OTLP_{name}"):
        if value := os.environ.get(variable, "").strip():
            return value
    return ""


def _endpoint() -> str:
    """Give the URL; only what is meant for all signals has the path appended."""
    if url := os.environ.get("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "").strip():
        return url
    return (_setting("ENDPOINT") or DEFAULT_ENDPOINT).removesuffix("/") + PATH


def _timeout() -> float:
    given = _setting("TIMEOUT")
    try:
        seconds = float(given or DEFAULT_TIMEOUT)
    except ValueError:
        seconds = math.nan
    if 0 < seconds < math.inf:
        return seconds
    _logger.warning("%r is no timeout in seconds: taking %s", given, DEFAULT_TIMEOUT)
    return DEFAULT_TIMEOUT


def _compress(given: str) -> bool:
    compression = given.lower() or "gzip"
    if compression not in {"gzip", "none"}:
        _logger.warning("no compression %r, expected gzip or none: taking gzip", given)
    return compression != "none"
