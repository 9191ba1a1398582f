"""From a native JSON object to a row."""

from __future__ import annotations

import datetime as dt
import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.receivers.pixsim import columns, mapping
from collector.receivers.pixsim.columns import COLUMNS
from storage.moments import moment
from storage.records import LogRecord

RECEIVED = dt.datetime(2025, 11, 13, 12, tzinfo=dt.UTC)
INT64 = 2**63 - 1
REQUIRED = {"level": "info", "service": "api"}
TRACEBACK = 'Traceback (most recent call last):\n  File "x.py", line 1, in f\nValueError: boom'
NAMES = [*COLUMNS, "timestamp", "extra", "event", "exception", "id", "flags", "otlp", "status_code"]

# With what no decoder lets through left out: NUL and surrogates in text.
TEXT = st.text(
    alphabet=st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=10
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | TEXT
    | st.sampled_from(["12", "12.0", "2025-11-13T00:30:00Z", "2025-11-13", "$double", 2**63])
)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(TEXT | st.just("$x"), inner, max_size=3)
    ),
    max_leaves=5,
)
ENTRIES = st.dictionaries(st.sampled_from(NAMES) | TEXT, JSON, max_size=8)


def record(entry, changes=None):
    return mapping.record(
        {**REQUIRED, **entry}, moment(RECEIVED), set() if changes is None else changes
    )


def test_columns():
    """
    The names of both generations of senders are columns; a null leaves them null.
    """
    texts = [name for name, read in COLUMNS.items() if read in {columns.text, columns.key}]
    entry = {name: name for name in texts}
    entry |= {"job_id": 1, "submission_id": 2, "artifact_id": 3, "generation_id": 4}
    entry |= {"user_id": 5, "attempt": 0, "duration_ms": 12.34}

    made = record(entry)

    assert entry == {name: getattr(made, name) for name in entry}
    assert made.extra is None
    assert LogRecord(timestamp=moment(RECEIVED), severity_number=9, **REQUIRED) == record(
        dict.fromkeys(set(entry) - set(REQUIRED))
    )


def test_unknown_names_go_to_extra():
    """
    Every other name goes to extra as it is, ``id`` and ``created_at`` included.
    """
    unknown = {"id": 7, "created_at": "now", "account_id": None, "urls": ["a"], "flags": 1, "": {}}

    made = record(unknown)

    assert unknown == made.extra
    assert (None, None) == (made.id, made.flags)


@pytest.mark.parametrize("name", ["job_id", "artifact_id", "generation_id", "user_id", "attempt"])
@pytest.mark.parametrize(
    ("value", "column"),
    [
        pytest.param(12, 12, id="whole"),
        pytest.param("12", 12, id="digits"),
        pytest.param(" +12 ", 12, id="sign and blanks"),
        pytest.param(12.0, 12, id="float"),
        pytest.param("12.0", 12, id="float as text"),
        pytest.param(True, 1, id="true"),
        pytest.param(-5, -5, id="negative"),
        pytest.param(INT64, INT64, id="the most"),
        pytest.param(str(-INT64 - 1), -INT64 - 1, id="the least, as text"),
        pytest.param("ingestion-55", None, id="a word"),
        pytest.param("", None, id="empty"),
        pytest.param(12.34, None, id="a fraction"),
        pytest.param("12.34", None, id="a fraction as text"),
        pytest.param("9" * 10_000, None, id="10,000 digits"),
        pytest.param(str(INT64 + 1), None, id="beyond int64, as text"),
        pytest.param(["12"], None, id="list"),
        pytest.param({"id": 12}, None, id="object"),
        pytest.param("\u0661\u0662", None, id="Arabic digits"),
    ],
)
def test_whole_numbers(name, value, column):
    """
    What is a whole number within int64 fills the column; all else stays in extra by its name.
    """
    made = record({name: value})

    assert column == getattr(made, name)
    assert (None if column is not None else {name: value}) == made.extra


@pytest.mark.parametrize(
    ("value", "column", "extra"),
    [
        pytest.param(37, 37.0, None, id="whole"),
        pytest.param(12.34, 12.34, None, id="fraction"),
        pytest.param("12.5", 12.5, None, id="text"),
        pytest.param(True, 1.0, None, id="true"),
        pytest.param(float("nan"), None, {"$double": "NaN"}, id="NaN"),
        pytest.param(float("-inf"), None, {"$double": "-Infinity"}, id="infinity"),
        pytest.param("nan", None, "nan", id="NaN as text"),
        pytest.param("1e999", None, "1e999", id="beyond floats"),
        pytest.param(10**400, None, "1" + "0" * 400, id="a whole number beyond floats"),
        pytest.param("fast", None, "fast", id="a word"),
        pytest.param([1], None, [1], id="list"),
    ],
)
def test_duration(value, column, extra):
    """
    A duration keeps its fraction; what is no finite number stays in extra.
    """
    made = record({"duration_ms": value})

    assert column == made.duration_ms
    assert (extra and {"duration_ms": extra}) == made.extra


@pytest.mark.parametrize(
    "name", [n for n, read in COLUMNS.items() if read in {columns.text, columns.key}]
)
@pytest.mark.parametrize(
    ("value", "column"),
    [
        pytest.param(12, "12", id="number"),
        pytest.param(0.5, "0.5", id="fraction"),
        pytest.param(True, "true", id="boolean"),
        pytest.param(["a"], None, id="list"),
        pytest.param({"a": 1}, None, id="object"),
    ],
)
def test_texts(name, value, column):
    """
    A number or boolean in a text column is its JSON; an object or list stays in extra.
    """
    made = record({name: value})

    assert column == getattr(made, name) or (
        column is None and getattr(made, name) in {"INFO", "unknown", "dev", None}
    )
    assert (None if column else {name: value}) == made.extra


@pytest.mark.parametrize("name", ["service", "request_id", "provider_job_id", "trace_id"])
@pytest.mark.parametrize(
    ("value", "fits"),
    [
        pytest.param("x" * 2_600, True, id="just short enough"),
        pytest.param("\u00e9" * 1_300, True, id="just short enough in bytes"),
        pytest.param("x" * 2_601, False, id="too long"),
        pytest.param("\u00e9" * 1_301, False, id="too long in bytes"),
    ],
)
def test_keys(name, value, fits):
    """
    A text that is too long for its column's index stays in extra, whole.
    """
    made = record({name: value})

    assert fits == (value == getattr(made, name))
    assert (None if fits else {name: value}) == made.extra


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        pytest.param({}, ("INFO", "unknown", 9), id="missing"),
        pytest.param({"level": None, "service": None}, ("INFO", "unknown", 9), id="null"),
        pytest.param({"level": "", "service": ""}, ("INFO", "unknown", 9), id="empty"),
        pytest.param({"level": "warning", "service": "a"}, ("warning", "a", 13), id="small letters"),
        pytest.param({"level": "CRITICAL", "service": "a"}, ("CRITICAL", "a", 21), id="capitals"),
        pytest.param({"level": "verbose", "service": "a"}, ("verbose", "a", 0), id="unknown level"),
        pytest.param({"level": 30, "service": "a"}, ("30", "a", 0), id="number"),
    ],
)  # fmt: skip
def test_level_and_service(entry, expected):
    """
    A level is kept as sent with its number beside it; without one it is INFO of "unknown".
    """
    made = mapping.record(entry, moment(RECEIVED), set())

    assert expected == (made.level, made.service, made.severity_number)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        pytest.param({}, "dev", id="missing"),
        pytest.param({"env": None}, "dev", id="null"),
        pytest.param({"env": None, "job_id": "x"}, "dev", id="null, in an odd entry"),
        pytest.param({"env": "prod"}, "prod", id="given"),
    ],
)
def test_env(entry, expected):
    """
    Without an environment, or with null, it is dev.
    """
    assert expected == record(entry).env


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        pytest.param({"event": "e", "message": "m", "msg": "g"}, "g", id="msg"),
        pytest.param({"event": "e", "message": "m"}, "e", id="event"),
        pytest.param({"message": "m"}, "m", id="message"),
        pytest.param({"event": None, "message": "m", "msg": None}, "m", id="nulls"),
        pytest.param({"event": {"a": 1}, "message": "m"}, "m", id="event is no text"),
        pytest.param({"event": 404}, "404", id="event is a number"),
        pytest.param({"msg": ""}, "", id="empty is a msg"),
        pytest.param({"msg": ["a"], "event": "e"}, "e", id="msg is no text"),
        pytest.param({}, None, id="none"),
    ],
)
def test_msg(entry, expected):
    """
    ``msg``, else ``event``, else ``message``; the latter two stay in extra.
    """
    made = record(entry)

    assert expected == made.msg
    kept = {k: v for k, v in entry.items() if k != "msg" or isinstance(v, list)}
    assert kept == (made.extra or {})


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        pytest.param({}, ("ValueError", "boom"), id="both absent"),
        pytest.param({"error": "mine"}, ("ValueError", "mine"), id="error given"),
        pytest.param({"error_type": "Mine"}, ("Mine", "boom"), id="type given"),
        pytest.param({"error": None, "job_id": "x"}, ("ValueError", "boom"), id="null"),
        pytest.param({"exception": "odd"}, (None, None), id="no traceback"),
        pytest.param({"exception": ["odd"]}, (None, None), id="no text"),
    ],
)
def test_exception(entry, expected):
    """
    A traceback fills error and error_type where they are absent, and stays in extra.
    """
    entry = {"exception": TRACEBACK, **entry}

    made = record(dict(entry))

    assert expected == (made.error_type, made.error)
    assert entry["exception"] == made.extra["exception"]


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        pytest.param({"extra": {"a": 1}, "b": 2}, {"a": 1, "b": 2}, id="flat"),
        pytest.param({"extra": None}, None, id="null"),
        pytest.param({"extra": {}}, None, id="empty"),
        pytest.param({"extra": {"a": 1}, "a": 2}, {"a": 2, "extra": {"a": 1}}, id="clash"),
        pytest.param(
            {"extra": {"a": 1, "extra": {"c": 3}}, "a": 2},
            {"a": 2, "extra": {"a": 1, "c": 3}},
            id="clash with an extra in extra",
        ),
        pytest.param(
            {"extra": {"a": 1, "extra": 3}, "a": 2},
            {"a": 2, "extra": {"a": 1, "extra": 3}},
            id="clash with a scalar extra",
        ),
        pytest.param({"extra": {"extra": {"c": 3}}}, {"extra": {"c": 3}}, id="extra in extra"),
        pytest.param(
            {"extra": {"job_id": 1}, "job_id": 2}, {"extra": {"job_id": 1}}, id="clash of a column"
        ),
        pytest.param({"extra": {"job_id": 1}, "job_id": None}, {"job_id": 1}, id="null is no clash"),
        pytest.param(
            {"extra": {"job_id": 1}, "job_id": "x"},
            {"job_id": "x", "extra": {"job_id": 1}},
            id="clash of a kept value",
        ),
        pytest.param({"extra": [1]}, {"extra": [1]}, id="a list"),
        pytest.param({"extra": "text"}, {"extra": "text"}, id="a string"),
    ],
)  # fmt: skip
def test_extra(entry, expected):
    """
    Extra is one flat object; on a clash the entry's own wins, the other is in extra.extra.
    """
    assert expected == record(entry).extra


def nested(depth, inner):
    return inner if depth == 0 else {"a": nested(depth - 1, inner)}


@pytest.mark.parametrize(
    ("value", "expected", "changed"),
    [
        pytest.param([1, "a", None, False, 1.5], [1, "a", None, False, 1.5], set(), id="plain"),
        pytest.param(float("inf"), {"$double": "Infinity"}, set(), id="infinity"),
        pytest.param([{"b": float("nan")}], [{"b": {"$double": "NaN"}}], set(), id="NaN inside"),
        pytest.param({"$double": "1"}, {"$map": {"$double": "1"}}, set(), id="looks like ours"),
        pytest.param(2**63, str(2**63), {"number"}, id="beyond int64"),
        pytest.param([-(2**80)], [str(-(2**80))], {"number"}, id="beyond int64 inside"),
        pytest.param(nested(30, 1), nested(30, 1), set(), id="deep"),
        pytest.param(nested(32, 1), nested(30, '{"a": {"a": 1}}'), {"depth"}, id="too deep"),
    ],
)
@pytest.mark.parametrize("odd", [{}, {"job_id": "x"}], ids=["exact", "tolerant"])
def test_values_of_extra(value, expected, changed, odd):
    """
    Extra holds what Postgres and OTLP can hold; a number or depth beyond that is JSON text.
    """
    changes = set()

    made = record({"a": value, **odd}, changes)

    assert expected == made.extra["a"]
    assert changed == changes


@pytest.mark.parametrize(
    ("sent", "expected", "nanoseconds"),
    [
        pytest.param({}, RECEIVED, None, id="missing"),
        pytest.param({"timestamp": None}, RECEIVED, None, id="null"),
        pytest.param({"timestamp": ""}, RECEIVED, None, id="empty"),
        pytest.param(
            {"timestamp": "2025-11-13T02:30:00.1+02:00"},
            dt.datetime(2025, 11, 13, 0, 30, 0, 100_000, dt.UTC),
            None,
            id="offset",
        ),
        pytest.param(
            {"timestamp": "2025-11-13T00:30:00.123456789Z"},
            dt.datetime(2025, 11, 13, 0, 30, 0, 123_456, dt.UTC),
            789,
            id="nanoseconds",
        ),
        pytest.param(
            {"timestamp": 1_762_993_800, "job_id": "x"},
            dt.datetime(2025, 11, 13, 0, 30, tzinfo=dt.UTC),
            None,
            id="Unix",
        ),
    ],
)
def test_time(sent, expected, nanoseconds):
    """
    A time is UTC, to the nanosecond; without one it is that of the receipt.
    """
    made = record(sent)

    assert (moment(expected), nanoseconds) == (made.timestamp, made.timestamp_ns)
    assert "timestamp_original" not in (made.extra or {})


@pytest.mark.parametrize("sent", ["yesterday", "0001-01-01T00:00:00Z", True, ["x"], 10**30])
def test_unreadable_time(sent):
    """
    A time that can't be read is kept in extra, and the record has that of the receipt.
    """
    changes = set()

    made = record({"timestamp": sent}, changes)

    assert moment(RECEIVED) == made.timestamp
    assert {"timestamp_original": str(sent) if sent == 10**30 else sent} == made.extra
    assert "timestamp" in changes


def test_unreadable_time_beside_its_namesake():
    """
    The sender's own ``timestamp_original`` is kept, and the time too.
    """
    made = record({"timestamp": "yesterday", "timestamp_original": "mine"})

    expected = {"timestamp_original": "mine", "extra": {"timestamp_original": "yesterday"}}
    assert expected == made.extra


@settings(deadline=None)
@given(ENTRIES)
def test_short_way_gives_the_same(entry):
    """
    The way for exact entries gives what the tolerant one gives.
    """
    entry["timestamp"] = moment(RECEIVED)
    entry.setdefault("level", "")
    entry.setdefault("service", "")
    changes = set()

    exact = mapping._exact(dict(entry), changes)

    if exact is not None:
        also = set()
        tolerant = mapping._tolerant(dict(entry), {}, also)
        exact.env, tolerant.env = exact.env or "dev", tolerant.env or "dev"
        assert tolerant == exact
        assert also == changes


def values_of(value):
    yield value
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from values_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from values_of(inner)


@settings(deadline=None)
@given(ENTRIES)
def test_every_entry_has_a_row(entry):
    """
    Any object becomes a row that the database takes, with all its other names in extra.
    """
    others = entry.keys() - COLUMNS.keys() - {"timestamp", "extra"}

    made = mapping.record(dict(entry), moment(RECEIVED), set())

    fields = msgspec.structs.asdict(made)
    found = list(values_of(fields))
    numbers = [v for v in found if isinstance(v, int)]
    assert all(-(2**63) <= n < 2**63 for n in numbers)
    assert all(v == v and abs(v) != float("inf") for v in found if isinstance(v, float))  # noqa: PLR0124
    assert json.loads(msgspec.json.encode(made.extra)) == made.extra
    assert isinstance(made.level, str)
    assert isinstance(made.service, str)
    assert others <= (made.extra or {}).keys()
