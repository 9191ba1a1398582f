"""What a destination's answers over HTTP come to, over real sockets."""

from __future__ import annotations

import datetime as dt
import email.utils

import pytest

from collector.forwarding.http import MOST_ANSWER, Body, HttpTarget, common
from collector.forwarding.settings import HttpForwarder, Tls
from collector.forwarding.target import Bad, Done, Refused, Retry, Split, Stop
from tests.scripted import CUT, GARBAGE, TORN, Reply, scripted

SECRET = "s3cret-token-of-ours"


def encode(records):
    return Body(
        data=b"\n".join(map(str.encode, records)), content_type="text/x-lines", path="/in?a=1"
    )


def target(url, *, encode=encode, interpret=common, **settings):
    return HttpTarget(
        HttpForwarder(
            endpoint=url, **{"headers": {"Authorization": f"Bearer {SECRET}"}, **settings}
        ),
        encode,
        interpret,
    )


async def sent(rule, records=("one", "two"), **options):
    async with scripted(rule) as server:
        there = target(server.url, **options)
        try:
            return await there.send(list(records)), server.requests
        finally:
            await there.close()


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
async def test_a_body_arrives_as_it_was_encoded(compression):
    """
    The body is compressed as the settings say, and comes with their headers.
    """
    answer, [request] = await sent(lambda _: Reply(), compression=compression)

    assert Done() == answer
    assert ("/in?a=1", b"one\ntwo") == (request.path, request.body)
    assert "text/x-lines" == request.headers["Content-Type"]
    assert f"Bearer {SECRET}" == request.headers["Authorization"]
    assert request.headers["User-Agent"].startswith("pixsim-collector/")
    assert request.headers.get("Content-Encoding", "none") == compression
    assert "Content-Length" in request.headers


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Reply(200), Done()),
        (Reply(202, b"{}"), Done()),
        (Reply(204), Done()),
        (Reply(429, b"slow", {"Retry-After": "7"}), Retry("HTTP 429: slow", 7.0)),
        (Reply(503, b"", {"retry-after": "nonsense"}), Retry("HTTP 503", None)),
        (Reply(500, b"<h1>\n oh\x00 </h1>"), Retry("HTTP 500: <h1> oh </h1>", None, 500)),
        (Reply(599), Retry("HTTP 599", None, 599)),
        (Reply(413), Split("HTTP 413")),
        (Reply(400, b"\xff\xfe"), Bad("HTTP 400: \ufffd\ufffd", 400)),
        (Reply(422), Bad("HTTP 422", 422)),
        (Reply(401), Stop("HTTP 401")),
        (Reply(403), Stop("HTTP 403")),
        (Reply(404), Stop("HTTP 404")),
        (Reply(301, b"", {"Location": "http://elsewhere/"}), Stop("HTTP 301")),
        (Reply(401, f"no {SECRET}".encode()), Stop("HTTP 401: no ***")),
    ],
)
async def test_what_an_answer_means(reply, expected):
    """
    A status says whether the batch is done, comes again, is too large, is bad, or whether the
    settings are; no secret that the destination repeats is in the reason.
    """
    answer, requests = await sent(lambda _: reply)

    assert expected == answer
    assert 1 == len(requests)


@pytest.mark.parametrize("how", [CUT, GARBAGE, TORN])
async def test_a_connection_that_breaks_settles_nothing(how):
    """
    Without a whole answer nothing is known, and all is sent again.
    """
    answer, _ = await sent(lambda _: how)

    assert isinstance(answer, Retry)


async def test_a_destination_that_is_away_or_slow_is_tried_again():
    """
    Where nobody listens, or no answer comes in time, all is sent again.
    """
    answer, _ = await sent(lambda _: Reply(after=0.5), timeout=0.05)
    assert isinstance(answer, Retry)

    there = target("http://127.0.0.1:1")
    answer = await there.send(["one"])
    await there.close()
    assert isinstance(answer, Retry)


async def test_retry_after_may_be_a_date():
    """
    Retry-After is seconds, or a date; one that has passed is at once.
    """

    def replied(seconds):
        at = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)
        return lambda _: Reply(503, headers={"Retry-After": email.utils.format_datetime(at)})

    answer, _ = await sent(replied(100))
    assert 90 < answer.after <= 100
    answer, _ = await sent(replied(-100))
    assert 0 == answer.after


async def test_of_an_endless_answer_only_the_beginning_is_read():
    """
    However much a destination answers, a few MiB are read, and the next request goes on.
    """
    lengths = []

    def interpret(status, headers, body, records):
        lengths.append(len(body))
        return common(status, headers, body, records)

    answer, _ = await sent(lambda _: Reply(body=bytes(MOST_ANSWER * 2)), interpret=interpret)

    assert Done() == answer
    assert [MOST_ANSWER] == lengths


async def test_what_is_left_out_of_a_body_is_refused_at_its_place():
    """
    A record that the destination would drop in silence is left out and refused, and what the
    answer says is of the records' places in the whole batch.
    """

    def short(records):
        yield
        kept = [record for record in records if len(record) < 4]
        refused = tuple(
            Refused(n, "too long") for n, record in enumerate(records) if len(record) > 3
        )
        return Body(data="".join(kept).encode(), content_type="text/plain", refused=refused)

    def interpret(_status, _headers, _body, records):
        assert ["one", "two", "six"] == records
        return Done(refused=(Refused(2, "bad", 400),), retry=(1,))

    records = ["three", "one", "two", "seven", "six"]
    answer, requests = await sent(lambda _: Reply(), records, encode=short, interpret=interpret)

    assert [b"onetwosix"] == [request.body for request in requests]
    refused = (Refused(0, "too long"), Refused(3, "too long"), Refused(4, "bad", 400))
    assert Done(refused=refused, retry=(2,)) == answer

    answer, requests = await sent(lambda _: Reply(), ["three"], encode=short)
    assert Done(refused=(Refused(0, "too long"),)) == answer
    assert [] == requests


async def test_what_is_too_large_is_not_sent():
    """
    Where the encoding knows already that it is too much, nothing is sent.
    """
    answer, requests = await sent(lambda _: Reply(), encode=lambda _: Split("over 1 MB"))

    assert (Split("over 1 MB"), []) == (answer, requests)


async def test_certificates_that_cannot_be_read_stop_it():
    """
    Settings of TLS that lead nowhere stop the destination with what is wrong.
    """
    there = target("https://127.0.0.1:1", tls=Tls(ca_file="/nowhere"))
    answer = await there.send(["one"])
    await there.close()

    assert isinstance(answer, Stop)
    assert "tls: FileNotFoundError" in answer.reason
