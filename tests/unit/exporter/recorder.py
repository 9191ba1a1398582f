"""A receiver that remembers what it was sent, and answers as it is told."""

from __future__ import annotations

import contextlib
import gzip
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

import msgspec


class Request(NamedTuple):
    """What was sent."""

    path: str
    headers: dict[str, str]  # names in lower case
    body: bytes  # decompressed
    connection: tuple[str, int]


class Answer(msgspec.Struct):
    """What to say."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = {}
    cut: bool = False  # the connection, after half of the body
    silent: bool = False  # until the recorder closes


class Recorder:
    """Answers with `answers` in turn, then with 200."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answers: deque[Answer] = deque()
        self.closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def url(self):
        return "http://{}:{}".format(*self._server.server_address)

    def close(self):
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(recorder):  # noqa: N805  so that the handler can have its own self
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                headers = {name.lower(): value for name, value in self.headers.items()}
                recorder.requests.append(Request(self.path, headers, body, self.client_address))
                answer = recorder.answers.popleft() if recorder.answers else Answer()
                if answer.silent:
                    recorder.closing.wait(30)
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                half = len(answer.body) // 2
                self.wfile.write(answer.body[:half] if answer.cut else answer.body)
                self.close_connection = answer.cut

            def log_message(self, *_):
                pass

        return Handler


@contextlib.contextmanager
def recording():
    """A recorder that listens inside the block; a client must close its connections first."""
    recorder = Recorder()
    try:
        yield recorder
    finally:
        recorder.close()
