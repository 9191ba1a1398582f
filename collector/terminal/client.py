"""A collector's query API, asked from a command line."""

from __future__ import annotations

import http.client
import os
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import msgspec

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence
    from typing import IO

VARIABLE, KEY = "PIXSIM_COLLECTOR_URL", "PIXSIM_COLLECTOR_KEY"
DEFAULT_URL = "http://127.0.0.1:8001"
TIMEOUT = 60.0  # seconds without a byte; the collector gives up on a question well before
PREFIX = "/api/v1/logs"


class Failed(Exception):
    """The collector could not be asked, or did not answer; its text is for the user."""


class Refused(Failed):
    """The collector will not answer this question, however often it is asked."""


class Client:
    """Asks the collector at one URL for what is below *prefix*, with a key where it wants one."""

    def __init__(self, url: str, prefix: str = PREFIX, *, key: str = "") -> None:
        self.url = url.rstrip("/")
        self._prefix = prefix
        self._key = key

    @classmethod
    def of(cls, arguments: argparse.Namespace, prefix: str = PREFIX) -> Client:
        """Give the client that the options of `add_url` mean."""
        return cls(arguments.url, prefix, key=arguments.key)

    def get(self, *path: str, parameters: Sequence[tuple[str, object]] = ()) -> Any:
        """
        Give the decoded answer of ``/api/v1/logs/<path>``; parameters that are None are left out.

        Raises:
            Failed: there is none.
        """
        return self.ask("GET", *path, parameters=parameters)

    def ask(self, method: str, *path: str, parameters: Sequence[tuple[str, object]] = ()) -> Any:
        """Do as `get`, by another *method*."""
        with self.stream(*path, parameters=parameters, method=method) as answer:
            body = answer.read()
        try:
            return msgspec.json.decode(body)
        except msgspec.DecodeError as exc:
            raise Failed(f"{self.url} answers, but not as a collector does") from exc

    @contextmanager
    def stream(
        self, *path: str, parameters: Sequence[tuple[str, object]] = (), method: str = "GET"
    ) -> Iterator[IO[bytes]]:
        """
        Hold the answer open, to be read piece by piece.

        Raises:
            Failed: the collector is away, says no, or breaks off.
        """
        given = [(name, value) for name, value in parameters if value is not None]
        where = "/".join((self._prefix, *(quote(part, safe="") for part in path)))
        if not self.url.startswith(("http://", "https://")):
            raise Failed(f"{self.url} is no URL of a collector, expected {DEFAULT_URL} or such")
        request = urllib.request.Request(  # noqa: S310  checked above
            f"{self.url}{where}?{urlencode(given)}", method=method
        )
        if self._key:  # which is for this collector, wherever it may send us
            request.add_unredirected_header("Authorization", f"Bearer {self._key}")
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
                yield answer
        except urllib.error.HTTPError as exc:
            with exc:
                failed = Refused if exc.code < 500 else Failed
                raise failed(_refusal(exc.code, exc.read(), dict(given).get("q"))) from exc
        except urllib.error.URLError as exc:
            raise Failed(f"{self.url} cannot be reached: {exc.reason}") from exc
        except (http.client.HTTPException, OSError) as exc:
            raise Failed(f"{self.url} broke off its answer: {exc}") from exc


def add_url(parser: argparse.ArgumentParser) -> None:
    """Let the user say which collector is asked."""
    parser.add_argument(
        "--url",
        default=os.environ.get(VARIABLE, DEFAULT_URL),
        help=f"the collector's query API (default: ${VARIABLE}, else {DEFAULT_URL})",
    )
    add_key(parser)


def add_key(parser: argparse.ArgumentParser) -> None:
    """Let the user give a key; others of the machine don't see it in the environment."""
    parser.add_argument(
        "--key",
        default=os.environ.get(KEY, ""),
        help=f"by which the collector knows who asks, where it wants to (better: ${KEY})",
    )


def _refusal(status: int, body: bytes, text: object) -> str:
    """Say why the collector refused, with a mark below the place in the search that it names."""
    try:
        detail = msgspec.json.decode(body)["detail"]
        first = detail if isinstance(detail, str) else detail[0]
        problem = first if isinstance(first, str) else str(first["msg"])
    except (msgspec.DecodeError, LookupError, TypeError):
        return f"the collector answers {status}"
    context = first.get("ctx") if isinstance(first, dict) else None
    if isinstance(text, str) and isinstance(context, dict) and "column" in context:
        mark = " " * (context["column"] - 1) + "^" * max(1, context.get("length", 1))
        return f"{problem}\n  {text}\n  {mark}"
    return problem
