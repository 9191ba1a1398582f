"""A session against a receiver that answers as it is told, over real sockets."""

from __future__ import annotations

import datetime as dt
import email.utils
import os
import socket
import threading

import pytest
from pixsim_otel import transport
from pixsim_otel.transport import Answer as Success
from pixsim_otel.transport import Refused, Retry, Session, Tls, TooLarge

from tests.unit.exporter.recorder import Answer, recording


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(name="recorder")
def _recorder():
    with recording() as recorder:
        yield recorder


@pytest.fixture(name="open_session")
def _open_session():
    """A function that opens sessions, which close with the test."""
    sessions = []

    def open_session(url, **options):
        sessions.append(Session(url, **options))
        return sessions[-1]

    yield open_session
    for session in sessions:
        session.close()


@pytest.fixture(name="session")
def _session(recorder, open_session):
    return open_session(f"{recorder.url}/v1/logs", timeout=5)


def test_what_is_sent(recorder, open_session):
    """
    A body arrives with its type, who sends it, and the headers given, UTF-8 among them.
    """
    session = open_session(f"{recorder.url}/a/b?c=d", headers={"X-Tenant": "züri"})
    answer = session.post(b"body", "text/x")
    (request,) = recorder.requests

    assert isinstance(answer, Success)
    assert ("/a/b?c=d", b"body") == (request.path, request.body)
    assert request.headers["content-type"] == "text/x"
    assert request.headers["user-agent"] == transport.USER_AGENT
    assert "züri" == request.headers["x-tenant"].encode("latin-1").decode()
    assert "content-encoding" not in request.headers


def test_compressed(recorder, open_session):
    """
    A compressed body says so, and its receiver finds it whole.
    """
    body = b"body " * 1_000
    open_session(recorder.url, compress=True).post(body, "text/x")
    (request,) = recorder.requests

    assert body == request.body
    assert request.headers["content-encoding"] == "gzip"
    assert int(request.headers["content-length"]) < len(body)


def test_connection_is_kept(recorder, session):
    """
    Requests that follow one another use one connection, after a failure too.
    """
    recorder.answers += [Answer(), Answer(503, b"busy"), Answer(400, b"bad")]
    for _ in range(4):
        session.post(b"", "text/x")

    assert 1 == len({request.connection for request in recorder.requests})


def test_user_of_the_url(recorder, open_session):
    """
    A user and a password in the URL are sent as the Authorization header.
    """
    url = recorder.url.replace("http://", "http://me:p%40ss@")
    open_session(url).post(b"", "text/x")

    assert "Basic bWU6cEBzcw==" == recorder.requests[0].headers["authorization"]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(429, b"slow down"), Retry("HTTP 429: slow down")),
        (Answer(502), Retry("HTTP 502")),
        (Answer(503, b"a\n  b", {"Retry-After": "7"}), Retry("HTTP 503: a b", 7.0)),
        (Answer(504, b"", {"Retry-After": "soon"}), Retry("HTTP 504")),
        (Answer(503, b"", {"Retry-After": "-1"}), Retry("HTTP 503")),
        (Answer(503, b"", {"Retry-After": "9" * 400}), Retry("HTTP 503", 999_999_999.0)),
        (Answer(400, b"bad"), Refused("HTTP 400: bad")),
        (Answer(401), Refused("HTTP 401")),
        (Answer(404), Refused("HTTP 404")),
        (Answer(408), Refused("HTTP 408")),
        (Answer(413, b"big"), TooLarge("HTTP 413: big")),
        (Answer(500, b"bug"), Refused("HTTP 500: bug")),
        (Answer(302, b"", {"Location": "http://127.0.0.1:1/"}), Refused("HTTP 302")),
    ],
    ids=lambda value: str(value.status) if isinstance(value, Answer) else "",
)
def test_statuses(recorder, session, answer, expected):
    """
    Only 429, 502, 503 and 504 are worth another try; 413 is, with less; nothing is followed.
    """
    recorder.answers.append(answer)

    assert expected == session.post(b"", "text/x")
    assert 1 == len(recorder.requests)


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_success(recorder, session, status):
    """
    Any status of success is one, and its body is given.
    """
    body = b"" if status == 204 else b"said"
    recorder.answers.append(Answer(status, body))
    answer = session.post(b"", "text/x")

    assert (status, body) == (answer.status, answer.body)


def test_retry_after_a_date(recorder, session):
    """
    Retry-After may be a date: the seconds until then count, and one that is past is now.
    """
    now = dt.datetime.now(dt.UTC)
    for seconds in (60, -60):
        date = email.utils.format_datetime(now + dt.timedelta(seconds=seconds), usegmt=True)
        recorder.answers.append(Answer(503, b"", {"Retry-After": date}))
    future, past = session.post(b"", "text/x"), session.post(b"", "text/x")

    assert 50 < future.after <= 60
    assert 0.0 == past.after


def test_cut_answer(recorder, session):
    """
    A connection that breaks in the middle of an answer is worth another try, which succeeds.
    """
    recorder.answers.append(Answer(200, b"x" * 1_000, cut=True))

    assert isinstance(session.post(b"", "text/x"), Retry)
    assert isinstance(session.post(b"", "text/x"), Success)


def test_nobody_listens(open_session):
    """
    Where nobody listens, another try may find somebody.
    """
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        url = "http://{}:{}".format(*found.getsockname())
        outcome = open_session(url).post(b"", "text/x")

    assert isinstance(outcome, Retry)
    assert "refused" in outcome.reason


def test_silent_receiver(recorder, session):
    """
    A receiver that takes a request and says nothing is waited for as long as is allowed.
    """
    recorder.answers.append(Answer(silent=True))
    outcome = session.post(b"", "text/x", timeout=0.05)

    assert isinstance(outcome, Retry)
    assert "timed out" in outcome.reason


def test_not_http(open_session):
    """
    What listens may be no HTTP server at all.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(b"SSH-2.0-OpenSSH\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        outcome = open_session("http://{}:{}".format(*server.getsockname())).post(b"", "text/x")
        thread.join()

    assert isinstance(outcome, Retry)


def test_endless_answer(recorder, session, monkeypatch):
    """
    Of an answer no more is read than one may have, and the connection is not used again.
    """
    monkeypatch.setattr(transport, "LARGEST_ANSWER", 1_000)
    recorder.answers.append(Answer(400, b"x" * 100_000))
    session.post(b"", "text/x")
    session.post(b"", "text/x")

    assert 2 == len({request.connection for request in recorder.requests})


def test_long_reason(recorder, session):
    """
    A page of a proxy is no reason to fill the console.
    """
    recorder.answers.append(Answer(400, b"x" * 100_000))

    assert len(session.post(b"", "text/x").reason) <= transport.LONGEST_REASON + 1


def test_body_beyond_the_limit(recorder, session, monkeypatch):
    """
    A body that no receiver need take is not sent.
    """
    monkeypatch.setattr(transport, "LARGEST_BODY", 3)
    outcomes = [session.post(body, "text/x") for body in (b"1234", b"123")]

    assert [TooLarge, Success] == [type(outcome) for outcome in outcomes]
    assert [b"123"] == [request.body for request in recorder.requests]


def test_after_close(recorder, session):
    """
    A closed session opens a new connection when it must.
    """
    session.post(b"", "text/x")
    session.close()

    assert isinstance(session.post(b"", "text/x"), Success)
    assert 2 == len({request.connection for request in recorder.requests})


def test_after_fork(recorder, session):
    """
    A forked process opens connections of its own, and its parent goes on using its own.
    """
    session.post(b"parent", "text/x")
    child = os.fork()
    if child == 0:
        outcome = session.post(b"child", "text/x")
        os._exit(0 if isinstance(outcome, Success) else 1)
    status = os.waitpid(child, 0)[1]
    session.post(b"parent", "text/x")
    connections = [request.connection for request in recorder.requests]

    assert status == 0
    assert [b"parent", b"child", b"parent"] == [request.body for request in recorder.requests]
    assert connections[0] == connections[2] != connections[1]


@pytest.mark.parametrize(("bypass", "expected"), [("", "proxied"), ("127.0.0.1", "direct")])
def test_proxy(recorder, open_session, monkeypatch, bypass, expected):
    """
    The environment's proxy is used, but for the hosts that it excepts.
    """
    with recording() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", bypass)
        session = open_session(recorder.url)
        session.post(b"", "text/x")
        session.close()

        assert expected == ("proxied" if proxy.requests else "direct")


def test_missing_certificate(open_session):
    """
    A file of authorities that is not there, somebody may yet put there.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = "https://{}:{}".format(*server.getsockname())
        outcome = open_session(url, tls=Tls(certificate="/nowhere.pem")).post(b"", "text/x")

    assert isinstance(outcome, Retry)


@pytest.mark.parametrize(
    "url",
    ["", "collector", "localhost:4318", "ftp://me:secret@host/", "http://", "http://h h/",
     "http://me:secret@host:99999/"],
)  # fmt: skip
def test_wrong_url(url):
    """
    A URL that is none is an error at once, which doesn't show a password.
    """
    with pytest.raises(ValueError, match=r"URL|does not begin") as caught:
        Session(url)

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"), [("a b", "x"), ("", "x"), ("ä", "x"), ("a", "secret\r\nb: c")]
)
def test_wrong_header(name, value):
    """
    A header that cannot be sent is an error at once, which doesn't show its value.
    """
    with pytest.raises(ValueError, match="header") as caught:
        Session("http://localhost/", headers={name: value})

    assert "secret" not in str(caught.value)
