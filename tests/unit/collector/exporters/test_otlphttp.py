"""Records as they are sent on by OTLP, and what the answers mean."""

from __future__ import annotations

import datetime as dt
from contextlib import asynccontextmanager

import msgspec
import pytest
from google.rpc.status_pb2 import Status
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from collector import server
from collector.body import InFlight
from collector.correlation import Correlation
from collector.exporters import otlphttp
from collector.exporters.otlphttp import Encoder, OtlpHttp, columns, mapping, protobuf
from collector.exporters.otlphttp.answers import answer
from collector.forwarding.fields import uid
from collector.forwarding.target import Bad, Done, Retry, Split, Stop
from collector.receivers import otlp
from collector.receivers.otlp import Http, Otlp, Protocols
from storage.moments import moment
from storage.records import PROMOTABLE, Outcome
from storage.roll_ups import LAST
from tests.builders import NOON, record
from tests.unit.collector.otlp_messages import (
    any_value,
    in_order,
    log_record,
    request,
    rows,
    sent_on,
    stored,
    whole,
)

MOMENTS = st.datetimes(timezones=st.just(dt.UTC)).map(moment)
NOON_NS = int(NOON.timestamp()) * 10**9
RECEIVED = NOON + dt.timedelta(seconds=1)
# A native record with everything in it.
NATIVE = {
    "id": 7,
    "timestamp_ns": 89,
    "level": "warning",
    "severity_number": 13,
    "service": "worker",
    "env": "prod",
    "instance_id": "worker-3",
    "msg": "provider is slow",
    "event_name": "provider_slow",
    "request_id": "req-1",
    "job_id": 123,
    "submission_id": 4,
    "artifact_id": 5,
    "generation_id": 6,
    "provider_job_id": "p-1",
    "provider_id": "acme",
    "operation_type": "text_to_image",
    "stage": "provider:submit",
    "channel": "cron",
    "domain": "generation",
    "user_id": 2**63 - 1,
    "error": "timed out",
    "error_type": "TimeoutError",
    "duration_ms": 1500.0,
    "attempt": 2,
    "trace_id": "0123456789abcdef0123456789ABCDEF",
    "span_id": "0123456789abcdef",
    "extra": {"tags": ["a", 1], "ratio": {"$double": "NaN"}, "none": None},
}
both = pytest.mark.parametrize("encoding", ["protobuf", "json"])


def native(**fields):
    return stored(record(**fields), received=moment(RECEIVED))


def only(message):
    (resource_logs,) = message.resource_logs
    (scope_logs,) = resource_logs.scope_logs
    (found,) = scope_logs.log_records
    return resource_logs.resource, found


def attributes(message):
    return {pair.key: pair.value for pair in message.attributes}


def expected(pairs):
    return {key: any_value(value) for key, value in pairs.items()}


@both
def test_native_record(encoding):
    """
    A record that did not come by OTLP has the standard names where there are some.
    """
    resource, found = only(sent_on([native(**NATIVE)], encoding))
    left = attributes(found)

    assert attributes(resource) == expected(
        {
            "service.name": "worker",
            "deployment.environment.name": "prod",
            "service.instance.id": "worker-3",
        }
    )
    assert str(float("nan")) == str(left.pop("ratio").double_value)
    assert left == expected(
        {
            **{name: NATIVE[name] for name in PROMOTABLE[:12] + PROMOTABLE[14:16]},
            "exception.message": "timed out",
            "exception.type": "TimeoutError",
            "tags": ["a", 1],
            "none": None,
            "log.record.uid": f"7-{NOON_NS + 89}-ef1364cd",
        }
    )
    assert found.body == any_value("provider is slow")
    assert (NOON_NS + 89, NOON_NS + 10**9) == (
        found.time_unix_nano,
        found.observed_time_unix_nano,
    )
    assert (13, "warning", "provider_slow") == (
        found.severity_number,
        found.severity_text,
        found.event_name,
    )
    assert bytes.fromhex(NATIVE["trace_id"]) == found.trace_id
    assert bytes.fromhex(NATIVE["span_id"]) == found.span_id


@both
def test_native_record_fills_the_same_columns(encoding):
    """
    A collector of ours that such a record is sent to has it in the same columns.
    """
    sent = native(**NATIVE)
    (found,) = rows(sent_on([sent], encoding), encoding).records
    ours = {"id", "resource_id", "promoted", "extra", "observed_timestamp", "observed_timestamp_ns"}

    for name in set(sent.record.__struct_fields__) - ours - {"trace_id"}:
        assert getattr(sent.record, name) == getattr(found, name), name
    assert sent.record.trace_id.lower() == found.trace_id
    assert sent.record.extra.items() <= found.extra.items()


def test_bare_record():
    """
    What a record doesn't have is not there; an id that OTLP has no place for is an attribute.
    """
    sent = native(id=1, env=None, trace_id="none", span_id="0" * 16, level="loud")
    resource, found = only(sent_on([sent], record_uid="none"))

    assert attributes(resource) == expected({"service.name": "api"})
    assert attributes(found) == expected({"trace_id": "none", "span_id": "0" * 16})
    assert not found.HasField("body")
    assert (0, "loud") == (found.severity_number, found.severity_text)
    assert b"" == found.trace_id + found.span_id


def test_names_that_are_taken():
    """
    A column whose attribute's name the record has for something else goes by its next name.
    """
    extra = {"exception.message": "inner", "stage": "other"}
    sent = native(id=1, error="outer", stage="s", extra=extra)
    _, found = only(sent_on([sent], record_uid="none"))

    assert attributes(found) == expected({**extra, "error": "outer", "pixsim.stage": "s"})


@pytest.mark.parametrize(
    ("time", "nanoseconds"),
    [
        pytest.param(dt.datetime(1969, 1, 1, tzinfo=dt.UTC), 1, id="before 1970"),
        pytest.param(dt.datetime(9999, 12, 30, tzinfo=dt.UTC), 2**64 - 1, id="after 2554"),
    ],
)
def test_times_beyond_otlp(time, nanoseconds):
    """
    A time that OTLP has no number for is the nearest one, and stands in an attribute.
    """
    _, found = only(sent_on([native(id=1, timestamp=time)], record_uid="none"))

    assert nanoseconds == found.time_unix_nano
    assert attributes(found) == expected({"timestamp": time.isoformat()})


def test_times_beyond_python():
    """
    A time that no Python has, and that was therefore read as another, is told to be so.
    """
    sent = msgspec.structs.replace(native(id=1, timestamp=LAST), clamped=True)
    _, found = only(sent_on([sent], record_uid="none"))

    assert any_value(True) == attributes(found)["timestamp_clamped"]


@both
def test_groups(encoding):
    """
    Records are gathered under their resource and scope, in order, and no group is empty.
    """
    found = rows(request(log_record({"n": 1}), log_record({"n": 3}), resource={"a": 1}))
    first, third = (stored(row, found) for row in found.records)
    other = rows(request(log_record({"n": 2}), resource={"a": 1}, scope={"b": 2}))
    (second,) = (stored(row, other) for row in other.records)
    bare = stored(rows(request(LogRecord())).records[0])
    message = sent_on([first, second, native(id=1), third, bare, native(id=2)], encoding)

    assert [[2, 1], [2], [1]] == [
        [len(scope_logs.log_records) for scope_logs in resource_logs.scope_logs]
        for resource_logs in message.resource_logs
    ]
    assert [1, 3] == [
        attributes(each)["n"].int_value
        for each in message.resource_logs[0].scope_logs[0].log_records
    ]
    assert not message.resource_logs[2].HasField("resource")
    assert b"" == whole(Encoder(OtlpHttp(endpoint="http://x")), []).data


@pytest.mark.parametrize(
    ("wanted", "ours", "theirs"),
    [("native", True, False), ("all", True, True), ("none", False, False)],
)
def test_record_uid(wanted, ours, theirs):
    """
    `record_uid` says which records get an id of their own, those that have one keeping it.
    """
    by_otlp = stored(rows(request(log_record())).records[0])
    by_otlp.record.id = 3
    own = native(id=1, extra={"log.record.uid": "own"})
    uids = [
        attributes(found).get("log.record.uid", any_value(None)).string_value
        for each in (native(id=1), by_otlp, own)
        for _, found in [only(sent_on([each], record_uid=wanted))]
    ]

    assert [ours, theirs, True] == [bool(uid) for uid in uids]
    assert "own" == uids[2]


def test_uids_of_two_collectors():
    """
    Records of two collectors that have the same number and time have ids of their own.
    """
    ids = {uid(record(id=1, msg=text, service=name)) for text in "ab" for name in "ab"}

    assert 4 == len(ids)
    assert uid(record(id=1, msg="a")) == uid(record(id=1, msg="a", job_id=7))


def test_too_large():
    """
    A batch whose body is over `max_request_body_size` is to be halved before it is sent.
    """
    records = [native(id=1, msg="x" * 100), native(id=2, msg="x" * 100)]

    config = OtlpHttp(endpoint="http://x", max_request_body_size=300)
    assert isinstance(whole(Encoder(config), records), Split)
    assert len(whole(Encoder(config), records[:1]).data) <= 300


def test_rows_that_are_no_records():
    """
    A row that cannot be said in OTLP is refused alone, without what stands in it.
    """
    nested = "secret"
    for _ in range(3_000):
        nested = [nested]
    broken = native(id=2)
    broken.record.extra = {"nested": nested}
    body = whole(Encoder(OtlpHttp(endpoint="http://x")), [native(id=1), broken, native(id=3)])

    ((index, reason),) = [(each.index, each.reason) for each in body.refused]
    assert 1 == index
    assert "secret" not in reason
    assert body.data


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(st.text(max_size=3), st.sampled_from(["$map", "$bytes", "$double"])),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=5,
)


@settings(max_examples=50, deadline=None)
@given(
    fields=st.fixed_dictionaries(
        {"timestamp": MOMENTS},
        optional={
            "extra": st.dictionaries(
                st.one_of(st.text(max_size=3), st.sampled_from(PROMOTABLE)), json_values, max_size=4
            ),
            "otlp": st.none(),
            "flags": st.integers(-(2**63), 2**63 - 1),
            "severity_number": st.integers(-(2**31), 2**31 - 1),
            "trace_id": st.text(max_size=40),
            "span_id": st.text("0123456789abcdef ", min_size=16, max_size=16),
            "duration_ms": st.floats(),
            "job_id": st.integers(-(2**63), 2**63 - 1),
            "error": st.text(max_size=3),
            "observed_timestamp": MOMENTS,
        },
    )
)
def test_any_row_can_be_sent(fields):
    """
    Whatever is in a row that somebody wrote by SQL, both encodings of it say the same.
    """
    sent = native(id=1)
    for name, value in fields.items():
        setattr(sent.record, name, value)

    assert str(sent_on([sent], "protobuf")) == str(sent_on([sent], "json"))


NUMBERS = {"job_id", "submission_id", "artifact_id", "generation_id", "user_id", "attempt"}
PLAIN = log_record(
    {
        **{name: "x" * 33 for name in PROMOTABLE if name not in NUMBERS | columns.FLOATS},
        **dict.fromkeys(NUMBERS, 2**40),
        **dict.fromkeys(columns.FLOATS, 1500.5),
        "account_id": 7,
        "tags": ["a", 1.5],
    },
    time_unix_nano=NOON_NS + 1,
    observed_time_unix_nano=NOON_NS + 1,
    severity_number=9,
    severity_text="INFO",
    trace_id=b"0123456789abcdef",
    span_id=b"01234567",
    flags=1,
    event_name="done",
)


CHANGES = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(PROMOTABLE, st.none()),
        "msg": st.none() | st.text(max_size=2_000),
        "extra": st.none()
        | st.dictionaries(
            st.one_of(st.text(max_size=3), st.sampled_from(PROMOTABLE)), json_values, max_size=4
        ),
        "otlp": st.none() | st.sampled_from([{"body": {"a": 1}}, {"no_observed": True}]),
        "flags": st.none() | st.integers(-(2**63), 2**63 - 1),
        "trace_id": st.none() | st.text(max_size=40) | st.just("ab " * 10 + "ab"),
        "span_id": st.none() | st.just("0" * 16),
        "observed_timestamp": st.none() | st.just(moment(NOON)),
        "resource_id": st.none() | st.just(3),
        "level": st.text(max_size=200),
    },
)


@settings(max_examples=60, deadline=None)
@given(st.lists(CHANGES, min_size=1, max_size=4))
def test_the_short_way_says_what_the_long_one_does(all_changes):
    """
    Plain rows that came by OTLP are written straight from their columns, and whatever somebody has
    changed in them, that is a way to say the same, each in its place.
    """
    sent = []
    for changes in all_changes:
        found = rows(request(PLAIN))
        (row,) = found.records
        assert all(getattr(row, name) is not None for name in PROMOTABLE)
        for name, value in changes.items():
            setattr(row, name, value)
        sent.append(stored(row, found))

    for changes, each, short in zip(all_changes, sent, whole(columns.records, sent), strict=True):
        assert short or {"extra", "otlp", "resource_id"} & changes.keys()
        if short:
            long = LogRecord.FromString(protobuf.record(mapping.record(each)))
            assert in_order(long) == in_order(LogRecord.FromString(short))


def test_a_row_that_cannot_go_the_short_way_takes_no_other_along():
    """
    Of rows that are written together one of a time that OTLP has no number for is refused, and
    the others are sent.
    """
    sent = []
    for time in (NOON, dt.datetime(1960, 1, 1, tzinfo=dt.UTC), NOON):
        found = rows(request(PLAIN))
        found.records[0].timestamp = moment(time)
        sent.append(stored(found.records[0], found))
    body = whole(Encoder(OtlpHttp(endpoint="http://x")), sent)

    assert [1] == [each.index for each in body.refused]
    _, found = only(sent_on(sent[:1]))
    message = ExportLogsServiceRequest.FromString(body.data)
    assert [found, found] == [*message.resource_logs[0].scope_logs[0].log_records]


def success(rejected, message):
    response = ExportLogsServiceResponse()
    response.partial_success.rejected_log_records = rejected
    response.partial_success.error_message = message
    return response.SerializeToString()


PROTOBUF, JSON = {"Content-Type": "application/x-protobuf"}, {"content-type": "application/json"}
REJECTED = b'{"partialSuccess":{"rejectedLogRecords":"3","errorMessage":"bad"}}'


@pytest.mark.parametrize(
    ("status", "headers", "body", "expected"),
    [
        pytest.param(200, PROTOBUF, b"", Done(), id="nothing"),
        pytest.param(200, JSON, b"{}", Done(), id="empty JSON"),
        pytest.param(200, JSON, b'{"partialSuccess":{}}', Done(), id="empty partial success"),
        pytest.param(200, JSON, b'{"partialSuccess":null}', Done(), id="null"),
        pytest.param(200, PROTOBUF, b"\x0a\x00", Done(), id="empty partial success in protobuf"),
        pytest.param(204, {}, b"", Done(), id="204"),
        pytest.param(
            200, PROTOBUF, success(3, "bad"), Done(rejected=3, note="bad"), id="some rejected"
        ),
        pytest.param(200, JSON, REJECTED, Done(rejected=3, note="bad"), id="the same in JSON"),
        pytest.param(
            200, PROTOBUF, REJECTED, Done(rejected=3, note="bad"), id="JSON said to be protobuf"
        ),
        pytest.param(200, PROTOBUF, success(0, "old"), Done(note="old"), id="a warning"),
        pytest.param(
            200, PROTOBUF, success(9, ""), Done(rejected=5), id="more rejected than were sent"
        ),
        pytest.param(200, PROTOBUF, success(-1, ""), Done(), id="a negative number"),
        pytest.param(
            200,
            {},
            b"OK",
            Done(note="HTTP 200 with a body that is no OTLP"),
            id="some text",
        ),
        pytest.param(
            200,
            JSON,
            b'{"partialSuccess":{"rejectedLogRecords":"many"}}',
            Done(note="HTTP 200 with a body that is no OTLP"),
            id="no number",
        ),
        pytest.param(
            200,
            {"Content-Type": "text/html; charset=utf-8"},
            b"<html>Sign in",
            Retry("HTTP 200 with a page of HTML, which no receiver of OTLP sends"),
            id="a page of a proxy's",
        ),
        pytest.param(
            400,
            PROTOBUF,
            Status(code=3, message="no").SerializeToString(),
            Bad("HTTP 400: no", 400),
            id="400 with a Status",
        ),
        pytest.param(
            400, JSON, b'{"code":3,"message":"no"}', Bad("HTTP 400: no", 400), id="in JSON"
        ),
        pytest.param(400, JSON, b"{", Bad("HTTP 400: {", 400), id="broken"),
        pytest.param(401, {}, b"<html>who?</html>", Stop("HTTP 401: <html>who?</html>"), id="401"),
        pytest.param(403, {}, b"", Stop("HTTP 403"), id="403"),
        pytest.param(404, {}, b"", Stop("HTTP 404"), id="a wrong path"),
        pytest.param(413, {}, b"", Split("HTTP 413"), id="413"),
        pytest.param(
            429, {"Retry-After": "7"}, b"", Retry("HTTP 429", 7.0), id="429 with Retry-After"
        ),
        pytest.param(502, {}, b"", Retry("HTTP 502"), id="502"),
        pytest.param(
            503,
            {**PROTOBUF, "retry-after": "1"},
            Status(message="away").SerializeToString(),
            Retry("HTTP 503: away", 1.0),
            id="503",
        ),
        pytest.param(504, {}, b"", Retry("HTTP 504"), id="504"),
    ],
)
def test_answers(status, headers, body, expected):
    """
    What was rejected is counted, what may succeed later is tried again, the rest is not.
    """
    assert expected == answer(status, headers, body, [None] * 5)


@asynccontextmanager
async def receiving(path):
    batches = []

    async def submit(batch):
        batches.append(batch)
        return Outcome(stored=len(batch.records))

    http = Http(endpoint="127.0.0.1:0", logs_url_path=path)
    routes = otlp.routes(Otlp(protocols=Protocols(http=http)), Correlation(), submit)
    listeners = [server.Listener(http, routes)]
    async with server.listening(listeners, InFlight(2**30), shutdown_timeout=1) as (url,):
        yield url, batches


@pytest.mark.parametrize(
    ("encoding", "compression", "path", "key"),
    [
        pytest.param("proto", "gzip", "/v1/logs", "endpoint", id="as by default"),
        pytest.param("json", "zstd", "/v1/logs", "endpoint", id="JSON and zstd"),
        pytest.param("proto", "none", "/any/path", "logs_endpoint", id="another path"),
    ],
)
async def test_to_a_collector_of_ours(encoding, compression, path, key):
    """
    The endpoint has the path of OTLP appended, and `logs_endpoint` is taken as it is.
    """
    async with receiving(path) as (url, batches):
        address = url if key == "endpoint" else url + path
        config = OtlpHttp(encoding=encoding, compression=compression, **{key: address})
        target = otlphttp.target(config)
        try:
            found = await target.send([native(**NATIVE)])
        finally:
            await target.close()

    assert Done() == found
    assert ["provider is slow"] == [each.msg for batch in batches for each in batch.records]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        pytest.param({}, "expected endpoint or logs_endpoint", id="no endpoint"),
        pytest.param({"endpoint": "localhost:4318"}, "endpoint", id="no URL"),
        pytest.param({"endpoint": "http://x", "encoding": "xml"}, "encoding", id="no encoding"),
        pytest.param({"endpoint": "http://x", "filter": "lvel:x"}, "filter: ", id="a bad filter"),
    ],
)
def test_settings(given, problem):
    """
    What is wrong with the settings is told when they are read.
    """
    with pytest.raises(msgspec.ValidationError, match=problem):
        msgspec.convert(given, OtlpHttp)
