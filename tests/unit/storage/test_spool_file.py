"""The file of the spool: what comes out is what went in, and never more than there is room for."""

from __future__ import annotations

import datetime as dt
import math
import random
import sqlite3
import time
import zlib
from contextlib import suppress

import msgspec
import pytest

from storage import spool_file
from storage.errors import SpoolFailed, SpoolFull
from storage.records import Key, Resource, Scope
from storage.spool_file import Attempt, Parcel, SpoolConfig, SpoolFile
from tests.builders import NOON, batch, record

ODD = {
    "numbers": [math.inf, -math.inf, 2**63, -(2**63), 1.0, 0, True, None],
    "nested": {"": [], "ä\u2028": {"x": b"\x00\xff"}},
}


@pytest.fixture(name="opened")
def _opened(tmp_path):
    """A function that opens the test's file with some limits."""
    files = []

    def opened(**limits):
        limits = {"min_free_bytes": 0} | limits
        files.append(SpoolFile(SpoolConfig(file=tmp_path / "spool" / "x.sqlite3", **limits)))
        return files[-1]

    yield opened
    for file in files:
        file.close()


def parcel(given, attempt=None):
    return Parcel(len(given.records), spool_file.encode(given), attempt or Attempt())


def test_times_as_they_were_written_at_first():
    """
    What an earlier version has spooled, whose times were msgpack's own, is read too.
    """
    times = {"timestamp": NOON, "observed_timestamp": NOON + dt.timedelta(microseconds=1)}
    entry = {**times, "level": "INFO", "service": "api", "extra": {"a": 1}}
    others = {"key": Key(b"\x00\xff"), "resources": {7: Resource(id=7, attributes="{}")}}
    former = {"receiver": "test", "sender": "tests", "records": [entry], **others}

    def decoded(value):
        return spool_file.decode(zlib.compress(msgspec.msgpack.encode(value)))

    assert batch(record(**times, extra={"a": 1}), **others) == decoded(former)
    assert [None] * 4 == [decoded(each) for each in (5, {}, {"records": 5}, {"records": [5]})]


def test_what_comes_out_is_what_went_in():
    """
    A batch keeps all that a COPY takes: each column, times of any year, and any value of JSON and
    those beyond. Ids are no part of it.
    """
    given = batch(
        record(timestamp=dt.datetime(1, 1, 2, tzinfo=dt.UTC), env=None, extra=ODD, id=5),
        record(timestamp=dt.datetime(9999, 12, 30, 23, 59, 59, 999_999, tzinfo=dt.UTC), flags=0),
        record(msg="", duration_ms=0.1, observed_timestamp=dt.datetime.now(dt.UTC), otlp={"a": 1}),
        key=Key(b"\x00\xff", "body"),
        resources={-(2**63): Resource(id=-(2**63), attributes='{"a":1}', schema_url="s")},
        scopes={1: Scope(id=1, name="n", version="v", attributes="{}")},
    )
    found = spool_file.decode(spool_file.encode(given))

    assert given.records[0].id == 5
    assert found == msgspec.structs.replace(
        given, records=[msgspec.structs.replace(each, id=None) for each in given.records]
    )
    nan = batch(record(extra={"nan": math.nan}))
    assert math.isnan(spool_file.decode(spool_file.encode(nan)).records[0].extra["nan"])
    assert spool_file.decode(b"no such thing") is None


def test_entries_wait_in_their_order_until_they_are_settled(opened):
    """
    Another process finds what was added, oldest first, with the ids that may be stored; totals
    and disk follow when it is taken out.
    """
    file, other = opened(), opened()
    noise = random.Random(1)
    big = batch(*(record(msg=noise.randbytes(50_000).hex()) for _ in range(100)))
    file.add(
        [parcel(batch(record(msg="a"), record())), parcel(batch(record(msg="b")), Attempt([7], 3))]
    )
    file.add([parcel(big)])
    full = other.waits()
    piece = other.piece(0, 3)
    rest = other.piece(piece.last, 3)

    assert (3, 103) == (full.requests, full.records)
    assert full.since == pytest.approx(time.time(), abs=60)
    assert ["a", "b"] == [entry.batch.records[0].msg for entry in piece.entries]
    assert [Attempt(), Attempt([7], 3)] == [entry.attempt for entry in piece.entries]
    assert [100] == [len(entry.batch.records) for entry in rest.entries]
    other.attempt([(piece.entries[0].id, Attempt([8, 9]))])
    assert Attempt([8, 9]) == file.piece(0, 1).entries[0].attempt
    other.settle([*piece.entries, *rest.entries])
    other.shrink()
    assert (0, 0) == (file.waits().requests, file.waits().records)
    assert file.waits().bytes < full.bytes / 10
    assert not file.piece(0, 3).last


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"max_bytes": 200_000}, "bytes"),
        ({"max_age": 1e-9}, "oldest"),
        ({"min_free_bytes": 2**62}, "left"),
    ],
)
def test_beyond_a_limit_nothing_more_is_taken(opened, limits, reason):
    """
    Whatever limit is reached, what comes then is refused with the reason, and what was taken
    before is there.
    """
    file = opened(**limits)
    each = parcel(batch(record(extra={str(n): n * 7 for n in range(1_000)})))
    taken = 0
    with suppress(SpoolFull):
        for taken in range(100):  # noqa: B007  those before the one that isn't
            file.add([each])
    with pytest.raises(SpoolFull, match=reason):
        file.add([each])

    assert taken == opened().waits().requests
    assert (taken > 3) == ("max_bytes" in limits)
    with pytest.raises(SpoolFull, match=reason):
        file.check()


def test_a_disk_that_is_full_takes_nothing_in_part(opened):
    """
    A request that the file has no room for at all is not there in part.
    """
    file = opened(max_bytes=100_000)
    file.add([parcel(batch(record()))])
    large = batch(*(record(msg=f"{n} {hash(str(n))}" * 9) for n in range(10_000)))
    with pytest.raises(SpoolFull, match="full"):
        file.add([parcel(batch(record())), parcel(large)])

    assert (1, 1) == (file.waits().requests, file.waits().records)
    file.add([parcel(batch(record()))])
    assert file.waits().requests == 2


def test_a_file_that_is_none(opened, tmp_path):
    """
    What is no spool, or one of a later version, is said to be so, and stays as it is.
    """
    file = tmp_path / "spool" / "x.sqlite3"
    file.parent.mkdir()
    file.write_bytes(b"something else" * 1_000)
    with pytest.raises(SpoolFailed, match="not a database"):
        opened().check()
    file.unlink()
    with sqlite3.connect(file) as later:
        later.execute("PRAGMA user_version = 99")
    later.close()
    with pytest.raises(SpoolFailed, match="version 99"):
        opened().check()
