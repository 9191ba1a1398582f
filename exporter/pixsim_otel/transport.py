"""
What a batch of records can come to, and the one way to post it over HTTP.

An exporter turns records into a body and an answer into an `Outcome`; what follows from
the outcome (wait, halve, drop, count) is the queue's business, the same for all of them.
"""

from __future__ import annotations

import datetime as dt
import email.utils
import gzip
import os
import re
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Protocol, TypeAlias
from urllib.parse import unquote
from urllib.request import getproxies, proxy_bypass

import msgspec
import urllib3

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .record import Record

RETRYABLE = frozenset({429, 502, 503, 504})
LARGEST_BODY = 64 * 1024 * 1024  # bytes before compression, the most a receiver should take
LARGEST_ANSWER = 4 * 1024 * 1024  # bytes, the most an OTLP receiver may answer
LONGEST_REASON = 500  # characters
GZIP_LEVEL = 1  # of logs it leaves 5 % more than level 6, in less than half the time
try:
    USER_AGENT = f"pixsim_otel-Python/{version('pixsim_otel')}"
except PackageNotFoundError:  # run from a checkout
    USER_AGENT = "pixsim_otel-Python"

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PIECE = 65_536  # bytes of an answer that are read at once
_CONNECTIONS = 4  # kept open; one, unless an application exports from several threads

# Connections that a fork copied. They are their parent's: even collecting them as garbage
# could wait for a lock that nobody in this process will release.
inherited: list[object] = []


class Delivered(msgspec.Struct, frozen=True):
    """
    The batch was taken, all but *rejected* of its records.

    Those are counted and said, never sent again (OTLP's partial success). With 0 rejected
    a *reason* is a warning.
    """

    rejected: int = 0
    reason: str = ""


class Refused(msgspec.Struct, frozen=True):
    """The batch will never be accepted: no record of it was stored."""

    reason: str


class Retry(msgspec.Struct, frozen=True):
    """The same batch may be accepted later; *after* is seconds, as the receiver asked for."""

    reason: str
    after: float | None = None


class TooLarge(msgspec.Struct, frozen=True):
    """The batch may be accepted in smaller ones; a single record will not be."""

    reason: str


Outcome: TypeAlias = Delivered | Refused | Retry | TooLarge


class Sender(Protocol):
    """Where batches go; `send` and `close` are called by one thread at a time."""

    def send(self, records: Sequence[Record], /) -> Outcome:
        """Send *records* once and tell what came of it; never raises for what they hold."""

    def close(self) -> None:
        """Give up the connections; another `send` would open new ones."""


class Answer(msgspec.Struct, frozen=True):
    """What a receiver said; of `Session.post`, always with a status of success."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Tls(msgspec.Struct, frozen=True, kw_only=True):
    """Files in PEM; without *certificate* the system's authorities are trusted."""

    certificate: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None


class Session:
    """
    Posts to one URL over connections that are kept open; used by threads and after forks.

    A user and a password in the URL become the Authorization header, and the environment's
    proxies are used. Redirects are not followed: they would lose a body, or tell others of it.

    *explain* finds the words for a person in the body of a failure.

    Raises:
        ValueError: *url* is no HTTP URL, or a header cannot be sent.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = 10.0,  # seconds
        compress: bool = False,
        tls: Tls | None = None,
        explain: Callable[[bytes], str] = lambda body: body.decode(errors="replace"),
    ) -> None:
        self._url, user = _parsed(url)
        self._headers = {"User-Agent": USER_AGENT}
        if user:
            self._headers |= urllib3.util.make_headers(basic_auth=unquote(user))
        for name, value in (headers or {}).items():
            self._headers[name.title()] = _header(name, value)
        self._timeout = timeout
        self._compress = compress
        self._tls = tls or Tls()
        self._explain = explain
        self._pool: urllib3.PoolManager | None = None
        self._process = 0  # the one that the pool belongs to

    def post(
        self, body: bytes, content_type: str, *, timeout: float | None = None
    ) -> Answer | Retry | Refused | TooLarge:
        """Post *body* once, within *timeout* seconds instead of the session's."""
        if len(body) > LARGEST_BODY:
            return TooLarge(f"{len(body)} bytes, the most is {LARGEST_BODY}")
        headers = {**self._headers, "Content-Type": content_type}
        if self._compress:
            body = gzip.compress(body, GZIP_LEVEL, mtime=0)
            headers["Content-Encoding"] = "gzip"
        try:
            answer = self._exchange(body, headers, timeout or self._timeout)
        except urllib3.exceptions.HTTPError as exc:
            return Retry(_shortened(f"{type(exc).__name__}: {exc}"))
        if 200 <= answer.status < 300:
            return answer
        return self._failure(answer)

    def close(self) -> None:
        """Close the connections; another `post` opens new ones."""
        if self._pool is not None and self._process == os.getpid():
            self._pool.clear()

    def _exchange(self, body: bytes, headers: Mapping[str, str], timeout: float) -> Answer:
        response = self._connections().request(
            "POST",
            self._url,
            body=body,
            headers=headers,
            timeout=urllib3.Timeout(total=timeout),
            retries=False,
            redirect=False,
            preload_content=False,
            decode_content=False,
        )
        content = bytearray()
        for piece in response.stream(_PIECE):
            content += piece
            if len(content) > LARGEST_ANSWER:
                response.close()
                break
        response.release_conn()
        return Answer(response.status, response.headers, bytes(content))

    def _connections(self) -> urllib3.PoolManager:
        if self._pool is None or self._process != os.getpid():
            if self._pool is not None:
                inherited.append(self._pool)
            self._pool = _connections(self._url, self._tls)
            self._process = os.getpid()
        return self._pool

    def _failure(self, answer: Answer) -> Retry | Refused | TooLarge:
        reason = f"HTTP {answer.status}"
        if said := " ".join(self._explain(answer.body).split()):
            reason += f": {said}"
        if answer.status in RETRYABLE:
            return Retry(_shortened(reason), _retry_after(answer.headers))
        return (TooLarge if answer.status == 413 else Refused)(_shortened(reason))


def _connections(url: str, tls: Tls) -> urllib3.PoolManager:
    options = {
        "maxsize": _CONNECTIONS,
        "ca_certs": tls.certificate,
        "cert_file": tls.client_certificate,
        "key_file": tls.client_key,
    }
    parsed = urllib3.util.parse_url(url)
    proxy = getproxies().get(parsed.scheme or "")
    if proxy and not proxy_bypass(parsed.host or ""):
        return urllib3.ProxyManager(proxy, **options)  # type: ignore[arg-type]
    return urllib3.PoolManager(**options)  # type: ignore[arg-type]


def _parsed(url: str) -> tuple[str, str | None]:
    """Give *url* without its user and password, and these; an error shows neither."""
    try:
        parsed = urllib3.util.parse_url(url)
    except urllib3.exceptions.LocationParseError:
        raise ValueError("the URL cannot be read") from None
    shown = parsed._replace(auth=None).url
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise ValueError(f"{shown!r} does not begin with http:// or https:// and a host")
    return shown, parsed.auth


def _header(name: str, value: str) -> str:
    """Give *value* so that UTF-8 is sent, or raise what the client would with each request."""
    if not _HEADER_NAME.fullmatch(name) or not value.isprintable():
        raise ValueError(f"header {name!a} has characters that none can have")
    return value.encode().decode("latin-1")


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Read seconds or a date, RFC 9110 section 10.2.3; None where it is neither."""
    given = headers.get("Retry-After", "").strip()
    if given.isascii() and given.isdigit():
        return float(given[:9])
    try:
        then = email.utils.parsedate_to_datetime(given)
        return max(0.0, (then - dt.datetime.now(dt.UTC)).total_seconds())
    except (TypeError, ValueError, OverflowError):  # a date without zone is a TypeError
        return None


def _shortened(reason: str) -> str:
    return reason if len(reason) <= LONGEST_REASON else f"{reason[:LONGEST_REASON]}…"
