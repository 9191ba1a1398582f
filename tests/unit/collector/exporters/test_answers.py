"""What the answers of destinations mean."""

from __future__ import annotations

import json

import pytest

from collector.exporters import elasticsearch, loki, splunk_hec
from collector.forwarding.http import common
from collector.forwarding.target import Bad, Done, Refused, Retry, Split, Stop

RECORDS = [object()] * 5


def bulk(*results, errors=True):
    items = [{"create": result} for result in results]
    return json.dumps({"took": 3, "errors": errors, "items": items}).encode()


OK = {"status": 201}
CONFLICT = {"status": 409, "error": {"type": "version_conflict_engine_exception", "reason": "x"}}
BUSY = {"status": 429, "error": {"type": "es_rejected_execution_exception", "reason": "busy"}}
DOWN = {"status": 503, "error": {"type": "unavailable_shards_exception", "reason": "away"}}
BROKEN = {"status": 500, "error": {"type": "null_pointer_exception", "reason": "x"}}
PARSE = {
    "status": 400,
    "error": {
        "type": "document_parsing_exception",
        "reason": "[1:2] failed to parse field [a] of type [long]. Preview of field's value: 's3cret'",
        "caused_by": {"type": "x", "reason": 'For input string: "s3cret"'},
    },
}
MISSING = {"status": 404, "error": {"type": "index_not_found_exception", "reason": "no such index"}}
TOLD = "document_parsing_exception: [1:2] failed to parse field [a] of type [long]."


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        pytest.param(200, bulk(OK, errors=False), Done(), id="all created"),
        pytest.param(200, b'{"errors":false}', Done(), id="nothing but that"),
        pytest.param(200, bulk(OK, CONFLICT, OK, OK, OK), Done(), id="there already"),
        pytest.param(
            200,
            bulk(OK, BUSY, PARSE, DOWN, CONFLICT),
            Done(refused=(Refused(2, TOLD, 400),), retry=(1, 3)),
            id="item by item",
        ),
        pytest.param(
            200,
            bulk(OK, BUSY, BROKEN, OK, OK),
            Done(retry=(1, 2), status=500),
            id="one that may be to blame",
        ),
        pytest.param(
            200,
            bulk(OK, OK, MISSING, OK, OK),
            Stop("index_not_found_exception: no such index"),
            id="no such index",
        ),
        pytest.param(200, bulk(OK), Retry("1 results for 5 documents"), id="too few results"),
        pytest.param(
            200,
            b"<html>",
            Retry("HTTP 200, but the answer is none of _bulk"),
            id="a page of something in between",
        ),
        pytest.param(413, b"", Split("HTTP 413"), id="too large"),
        pytest.param(429, b"", Retry("HTTP 429"), id="too fast"),
        pytest.param(502, b"", Retry("HTTP 502"), id="proxy"),
        pytest.param(401, b"", Stop("HTTP 401"), id="wrong key"),
        pytest.param(400, b"bad", Bad("HTTP 400: bad", 400), id="malformed"),
    ],
)
def test_elasticsearch(status, body, expected):
    """
    A result each decides; a conflict is success, and nothing is quoted of a record.
    """
    assert expected == elasticsearch.answer(status, {}, body, RECORDS)


def hec(code, number=None, text="told"):
    reply = {"text": text, "code": code}
    return json.dumps(
        reply if number is None else reply | {"invalid-event-number": number}
    ).encode()


def told(code, status):
    return f"code {code}: HTTP {status}: told"


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, hec(0), Done()),
        (200, b'{"text":"Success","code":0,"ackId":3}', splunk_hec.Accepted(ack=3)),
        *((403, hec(code), Stop(told(code, 403))) for code in (1, 4)),
        *((401, hec(code), Stop(told(code, 401))) for code in (2, 3)),
        *((400, hec(code), Stop(told(code, 400))) for code in (7, 10, 11, 14, 16)),
        (500, hec(8), Retry(told(8, 500), status=500)),
        *((503, hec(code), Retry(told(code, 503))) for code in (9, 18, 19, 20)),
        (400, hec(5), Bad('HTTP 400: {"text": "told", "code": 5}', 400)),
        (400, hec(6), Bad(told(6, 400), 400)),
        (400, hec(6, 0), Done(refused=(Refused(0, told(6, 400), 400),), retry=(1, 2, 3, 4))),
        (400, hec(6, 1), Bad(told(6, 400), 400)),
        (400, hec(6, 3), Done(retry=(2, 3, 4))),
        (400, hec(6, 99), Bad(told(6, 400), 400)),
        *((400, hec(code, 4), Done(retry=(3, 4))) for code in (12, 13, 15)),
        (200, hec(5), Retry(told(5, 200))),
        (200, b"<html>", Retry("code -1: HTTP 200: not the answer of an HTTP Event Collector")),
        (404, b"<html>", Stop("HTTP 404: <html>")),
        (413, b"", Split("HTTP 413")),
        (503, b"", Retry("HTTP 503")),
    ],
)
def test_splunk(status, body, expected):
    """
    The code decides; the number of an event, of which it is not known whether it counts from 0
    or 1, is believed only as far as both say the same.
    """
    assert expected == splunk_hec.answer(status, {}, body, RECORDS)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (204, Done()),
        (200, Done()),
        (260, Bad("HTTP 260: told", 260)),
        (400, Bad("HTTP 400: told", 400)),
        (401, Stop("HTTP 401: told")),
        (413, Split("HTTP 413: told")),
        (429, Retry("HTTP 429: told")),
        (500, Retry("HTTP 500: told", status=500)),
    ],
)
def test_loki(status, expected):
    """
    A 260 is no success: a policy of Loki's refuses the streams.
    """
    assert expected == loki.answer(status, {}, b"told", RECORDS)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, Done()),
        (202, Done()),
        (400, Bad("HTTP 400", 400)),
        (403, Stop("HTTP 403")),
        (408, Retry("HTTP 408")),
        (413, Split("HTTP 413")),
        (429, Retry("HTTP 429")),
        (500, Retry("HTTP 500", status=500)),
        (503, Retry("HTTP 503")),
    ],
)
def test_datadog_and_victorialogs(status, expected):
    """
    Their status says it all.
    """
    assert expected == common(status, {}, b"", RECORDS)
