"""Two collectors on one database, behind a balancer that knows of nothing but TCP."""

from __future__ import annotations

import itertools
import signal
import socket
import threading
from contextlib import ExitStack, contextmanager, suppress
from types import SimpleNamespace
from urllib.parse import urlsplit

import requests

from tests.chaos.traffic import OneTry, Retrying, Traffic, WithKeys
from tests.e2e.conftest import starting


def piped(source, target):
    """Pass on what *source* sends, until it ends."""
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    for each in (source, target):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


def joined(client, backends):
    """Connect *client* to the first of *backends* that takes connections."""
    with client:
        for backend in backends:
            with suppress(ConnectionRefusedError), socket.create_connection(backend) as server:
                back = threading.Thread(target=piped, args=(server, client), daemon=True)
                back.start()
                piped(client, server)
                back.join()
                return


@contextmanager
def balanced(urls):
    """The URL of a balancer that gives each connection to the next of *urls*."""
    backends = [(urlsplit(url).hostname, urlsplit(url).port) for url in urls]
    orders = itertools.cycle([backends, backends[::-1]])

    def serve():
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return  # it is closed
            threading.Thread(target=joined, args=(client, next(orders)), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = threading.Thread(target=serve, daemon=True)
        serving.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        serving.join(10)


def sent_again(url):
    """The answer to a request that all of them may get."""
    line = {"level": "INFO", "service": "again", "msg": "once"}
    key = {"Idempotency-Key": "the same"}
    return requests.post(f"{url}/api/v1/logs/ingest", json=line, headers=key, timeout=5).json()


def accepted(collector):
    counters = collector.counters().items()
    return sum(value for (name, _), value in counters if name == "pixsim_records_stored_total")


def test_two_collectors_are_one(database, tmp_path):
    """
    Collectors keep nothing of their own: senders reach either, what is sent again to another one
    than the first is stored once, either finds all, and when one is killed the other goes on with
    no acknowledged record lost.
    """
    with ExitStack() as stack:
        first, second = (
            stack.enter_context(starting(database, folder))()
            for folder in (tmp_path / "first", tmp_path / "second")
            if not folder.mkdir()
        )
        both = SimpleNamespace(
            native=stack.enter_context(balanced([first.native, second.native])),
            otlp=stack.enter_context(balanced([first.otlp, second.otlp])),
        )
        with Traffic(both, (OneTry, Retrying, WithKeys)) as traffic:
            traffic.go_on()
            again = [sent_again(it.native) for it in (first, second)]
            taken = [accepted(it) for it in (first, second)]
            first.stop(signal.SIGKILL)
            traffic.go_on()

        assert {} == traffic.settled(database)
        assert again[0] == again[1] == sent_again(both.native)
        assert 1 == len(second.query(service="again"))
        assert all(taken)
