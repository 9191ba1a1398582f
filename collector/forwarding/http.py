"""
What destinations that speak HTTP have in common: the connection, compression, common answers.

Such a `Target` is two pure functions. One encodes records as a `Body`; the other says what the
answer to it means, where `common` says too little of that.
"""

from __future__ import annotations

import asyncio
import email.utils
import functools
import http
import ssl
import sys
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import suppress
from importlib import metadata
from typing import TYPE_CHECKING, TypeAlias

import aiohttp
import msgspec
from isal import igzip

from collector.forwarding.target import Answer, Bad, Done, Refused, Retry, Split, Stop
from collector.secrets import HIDDEN

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collector.forwarding.settings import HttpForwarder, Tls
    from storage.stored import Stored

MOST_ANSWER = 4 * 1024 * 1024  # bytes of an answer that are read
LONGEST_REASON = 300  # characters of what a destination says, in our own words to operators
GZIP_LEVEL = 1  # as many bytes as zlib's level 1, in a fifth of its time
ZSTD_LEVEL = 1  # a twentieth more bytes than level 3, in half of its time
SHORTEST_SECRET = 6  # characters; anything shorter is a tenant or such
RETRIED = {408, 425, 429}  # and 5xx
AWAY = {502, 503, 504}  # the server is, whatever was sent
STOPPING = {401, 403, 404, 405, 407, 410, 415}  # and redirects: nobody has sent it there
USER_AGENT = f"pixsim-collector/{metadata.version('pixsim-collector')}"


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """
    What is sent for some records, before compression.

    ``refused`` are records that the destination would refuse, or worse, drop in silence: they
    are left out of ``data`` and become dead letters. With all of them refused nothing is sent.
    """

    data: bytes
    content_type: str
    headers: Mapping[str, str] = {}  # beside those of the settings
    path: str = ""  # appended to the endpoint, with a query if need be
    refused: tuple[Refused, ...] = ()


# Gives the body of a batch, or what the batch is known to come to without being sent, such as
# Split. One that takes more than a few milliseconds is a generator that yields every millisecond
# or so, that requests have their turn, and returns the same.
Encode: TypeAlias = Callable[
    [Sequence["Stored"]], Body | Answer | Generator[None, None, Body | Answer]
]
# Gives what an answer means: from status, headers (names in any case), body, and the records
# that were in the body's data, to whose places it refers.
Interpret: TypeAlias = Callable[[int, Mapping[str, str], bytes, Sequence["Stored"]], Answer]


def common(
    status: int, headers: Mapping[str, str], body: bytes, _records: Sequence[Stored] = ()
) -> Answer:
    """Give what an answer means by its status alone, as most destinations have it."""
    reason = told(status, body)
    if 200 <= status < 300:
        return Done()
    if status in RETRIED or status >= 500:
        return Retry(reason, retry_after(headers), of_record(status))
    if status == http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return Split(reason)
    if status in STOPPING or 300 <= status < 400:
        return Stop(reason)
    return Bad(reason, status)


def of_record(status: int) -> int | None:
    """Give *status* where it tells of an error in a server that may be a record's doing."""
    return status if status >= 500 and status not in AWAY else None


def told(status: int, body: bytes) -> str:
    """Give the reason that an answer has: its status, and the beginning of its text."""
    text = " ".join(body[: 4 * LONGEST_REASON].decode("utf-8", "replace").split())
    text = "".join(c for c in text if c.isprintable())[:LONGEST_REASON]
    return f"HTTP {status}: {text}" if text else f"HTTP {status}"


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Give the seconds that ``Retry-After`` asks for, as seconds or as a date."""
    value = next((v for name, v in headers.items() if name.lower() == "retry-after"), "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    with suppress(ValueError, TypeError, OverflowError):
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    return None


class HttpTarget:
    """
    A `Target` of the two functions; *headers* go with each request, before the settings' own.

    Redirects are not followed: they would take the token along.
    """

    def __init__(
        self,
        config: HttpForwarder,
        encode: Encode,
        interpret: Interpret = common,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._config = config
        self._encode = encode
        self._interpret = interpret
        self._headers = {"User-Agent": USER_AGENT, **(headers or {}), **config.headers}
        self._secrets = _secrets([*(headers or {}).values(), *config.headers.values()])
        self._session: aiohttp.ClientSession | None = None

    async def send(self, records: Sequence[Stored], /) -> Answer:
        """Send *records* as one request."""
        encoded = await _encoded(self._encode, records)
        if not isinstance(encoded, Body):
            return encoded
        left_out = {refused.index for refused in encoded.refused}
        places = [place for place in range(len(records)) if place not in left_out]
        if not places:
            return Done(refused=encoded.refused)
        sent = [records[place] for place in places]
        answer = _discreet(await self.post(encoded, sent), self._secrets)
        return _replaced(answer, places, encoded.refused) if isinstance(answer, Done) else answer

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def post(self, body: Body, sent: Sequence[Stored]) -> Answer:
        """Send a body, and say what became of the records that are in it."""
        data, encoding = await _compressed(body.data, self._config.compression)
        endpoint = self._config.endpoint
        return await self.exchange(
            endpoint.rstrip("/") + body.path if body.path else endpoint,
            data,
            {"Content-Type": body.content_type} | encoding | dict(body.headers),
            lambda status, found, content: self._interpret(status, found, content, sent),
        )

    async def exchange(
        self,
        url: str,
        data: bytes,
        headers: Mapping[str, str],
        interpret: Callable[[int, Mapping[str, str], bytes], Answer],
    ) -> Answer:
        """Post *data*, and give what *interpret* says of the answer, or that there was none."""
        try:
            session = self._connected()
        except (OSError, ValueError) as exc:  # an SSLError is an OSError
            return Stop(f"tls: {_named(exc)}")
        try:
            async with session.post(
                url,
                data=data,
                headers={**headers, **self._headers},
                allow_redirects=False,
                server_hostname=self._config.tls.server_name_override or None,
            ) as answer:
                content = await _read(answer.content)
                return interpret(answer.status, answer.headers, content)
        except aiohttp.InvalidURL as exc:
            return Stop(_named(exc))
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            return Retry(_named(exc))

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            secure = self._config.endpoint.startswith("https:")
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self._config.timeout),
                connector=aiohttp.TCPConnector(ssl=context(self._config.tls) if secure else True),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


def context(tls: Tls) -> ssl.SSLContext:
    """
    Give what *tls* says as Python has it.

    Raises:
        OSError: a file cannot be read, or is no such file.
    """
    found = ssl.create_default_context(cafile=tls.ca_file or None)
    if tls.cert_file:
        found.load_cert_chain(tls.cert_file, tls.key_file)
    if tls.insecure_skip_verify:
        found.check_hostname = False
        found.verify_mode = ssl.CERT_NONE
    return found


async def _encoded(encode: Encode, records: Sequence[Stored]) -> Body | Answer:
    """Encode *records*, and let requests have their turn in between."""
    slices = encode(records)
    if not isinstance(slices, Generator):
        return slices
    while True:
        try:
            next(slices)
        except StopIteration as end:
            found: Body | Answer = end.value
            return found
        await asyncio.sleep(0)


async def _compressed(data: bytes, how: str) -> tuple[bytes, dict[str, str]]:
    """Give *data* compressed, and the header that says so; in a thread, which needs no turn."""
    if how == "none":
        return data, {}
    compress, level = (zstd.compress, ZSTD_LEVEL) if how == "zstd" else (igzip.compress, GZIP_LEVEL)
    return await asyncio.to_thread(compress, data, level), {"Content-Encoding": how}


async def _read(content: aiohttp.StreamReader) -> bytes:
    """Read an answer to its end, or as much of it as is of any use."""
    pieces: list[bytes] = []
    size = 0
    async for piece in content.iter_any():
        pieces.append(piece)
        size += len(piece)
        if size >= MOST_ANSWER:  # the connection is of no more use either
            break
    return b"".join(pieces)[:MOST_ANSWER]


def _replaced(done: Done, places: Sequence[int], left_out: Sequence[Refused]) -> Done:
    """Give *done* with the places that the records have in the whole batch."""
    refused = (msgspec.structs.replace(each, index=places[each.index]) for each in done.refused)
    return msgspec.structs.replace(
        done,
        refused=tuple(sorted((*refused, *left_out), key=lambda each: each.index)),
        retry=tuple(places[place] for place in done.retry),
    )


def _secrets(headers: Iterable[str]) -> list[str]:
    """Give what may not be repeated: the values, also without ``Bearer`` or the like."""
    found = {text for value in headers for text in (value, value.rpartition(" ")[2])}
    return sorted((text for text in found if len(text) >= SHORTEST_SECRET), key=len, reverse=True)


def _discreet(answer: Answer, secrets: Sequence[str]) -> Answer:
    """Give *answer* without what a destination has repeated of our own headers."""

    def hidden(text: str) -> str:
        return functools.reduce(lambda t, secret: t.replace(secret, HIDDEN), secrets, text)

    if isinstance(answer, Done):
        refused = (msgspec.structs.replace(r, reason=hidden(r.reason)) for r in answer.refused)
        return msgspec.structs.replace(answer, note=hidden(answer.note), refused=tuple(refused))
    return msgspec.structs.replace(answer, reason=hidden(answer.reason))


def _named(exc: BaseException) -> str:
    return f"{type(exc).__name__}: {exc}"[:LONGEST_REASON] if str(exc) else type(exc).__name__
