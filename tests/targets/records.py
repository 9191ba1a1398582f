"""Stored records to forward: one of each kind, and any."""

from __future__ import annotations

import datetime as dt

from hypothesis import strategies as st

from storage.moments import moment
from storage.records import Resource, Scope
from storage.stored import Stored
from tests.builders import NOON, record

NOW = int(NOON.timestamp()) * 10**9  # ns, for encoders and servers whose clock stands


def stored(*, resource=None, scope=None, clamped=False, **fields):
    """Make a record with id 7 at noon."""
    made = record(**{"id": 7, "severity_number": 9, **fields})
    return Stored(made, resource, scope, moment(NOON), clamped)


def native():
    """Make a record as pixsim's JSON brings it."""
    return stored(
        level="WARNING",
        severity_number=13,
        service="worker",
        env="dev",
        msg="slow",
        request_id="r-1",
        job_id=42,
        duration_ms=1500.5,
        trace_id="not hex",
        extra={"job.id": "42", "status": 500, "tags": ["a", 1, None], "empty": None},
    )


def otlp():
    """Make a record as OTLP brings it, with everything in it."""
    return stored(
        id=8,
        timestamp=NOON + dt.timedelta(microseconds=123_456),
        timestamp_ns=789,
        observed_timestamp=NOON + dt.timedelta(seconds=1),
        observed_timestamp_ns=1,
        level="Error",
        severity_number=17,
        service="api",
        env="prod",
        instance_id="api-1",
        msg='{"code":7}',
        event_name="render.failed",
        error="no such file",
        error_type="OSError",
        trace_id="0af7651916cd43dd8448eb211c80319c",
        span_id="b7ad6b7169203331",
        flags=257,
        extra={
            "deep": {"a": {"b": 1}},
            "nan": {"$double": "NaN"},
            "raw": {"$bytes": "aGk="},
            "odd": {"$map": {"$x": True}},
            "_msg": "of the sender",
            "service": "another",
            "ünï côde": "é",
            "": "nameless",
        },
        otlp={"body": {"code": 7}, "dropped_attributes_count": 3},
        resource=Resource(
            id=1,
            attributes='{"deployment.environment.name":"prod","host.name":"web-1",'
            '"service.instance.id":"api-1","service.name":"api","service.version":"1.2"}',
        ),
        scope=Scope(id=2, name="lib", version="3", attributes='{"deep.a.b":2}'),
    )


def encoded(encode, *records):
    """Give what *encode* makes of *records* in the end."""
    slices = encode(records)
    while True:
        try:
            next(slices)
        except StopIteration as end:
            return end.value


_TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
_NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**63 - 1)
_SPECIAL = st.sampled_from(
    [{"$double": "NaN"}, {"$double": "1e+22"}, {"$bytes": "aGk="}, {"$map": {"$": 1}}, {"$x": 1}]
)
_JSON = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _TEXTS | _SPECIAL,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=8,
)
# Names that mean something to one destination or another, and what cleaning makes of such.
_NAMES = _TEXTS | st.sampled_from(
    [
        "",
        "_",
        "__",
        "_msg",
        "_time",
        "a.b",
        "a_b",
        "a..b",
        "1",
        "service",
        "level",
        "status",
        "time",
    ]
)
_OBJECTS = st.dictionaries(_NAMES, _JSON, max_size=6)

_LATELY = st.integers(-(10**12), 10**12).map(lambda us: NOON + dt.timedelta(microseconds=us))
_DAY = 86_400_000_000  # microseconds
_EVER = st.integers(-2024 * 365 * _DAY, 7970 * 365 * _DAY).map(
    lambda us: NOON + dt.timedelta(microseconds=us)
)


@st.composite
def any_stored(draw):
    """Draw a record that may be in the table, from whoever wrote it."""
    maybe = lambda strategy: draw(st.none() | strategy)  # noqa: E731
    otlp = maybe(st.fixed_dictionaries({"body": _JSON}))
    return stored(
        id=draw(st.integers(1, 2**63 - 1)),
        timestamp=draw(_EVER | _LATELY),
        timestamp_ns=maybe(st.integers(0, 999)),
        observed_timestamp=maybe(st.just(NOON)),
        level=draw(_TEXTS),
        severity_number=draw(st.integers(-1, 30)),
        service=draw(_TEXTS),
        env=maybe(_TEXTS),
        instance_id=maybe(_TEXTS),
        msg=maybe(_TEXTS),
        request_id=maybe(_TEXTS),
        job_id=maybe(st.integers(-(2**63), 2**63 - 1)),
        duration_ms=maybe(st.floats()),
        trace_id=maybe(_TEXTS | st.just("0af7651916cd43dd8448eb211c80319c")),
        flags=maybe(st.integers(0, 2**32 - 1)),
        extra=maybe(_OBJECTS),
        otlp=otlp,
        clamped=draw(st.booleans()),
    )
