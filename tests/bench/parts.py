"""What of a record has to be done in any case, in µs of CPU: what is faster than that, can't be."""

from __future__ import annotations

import collections
import datetime as dt
import time

import asyncpg

from collector.correlation import Columns, Correlation
from collector.receivers.otlp import json, mapping, protobuf
from collector.receivers.pixsim import decoding
from collector.receivers.pixsim.mapping import record
from storage import encoding, moments
from storage.copying import TABLE, copy

MOST_RECORD = 2**20  # bytes


def otlp(decoder):
    """Give what makes rows of bodies in OTLP."""
    mapper = mapping.Mapper(columns=Columns(Correlation()), max_record_size=MOST_RECORD)

    def read(body):
        rows = mapping.Rows()
        collections.deque(mapper.slices(decoder, body, time.time_ns(), rows), maxlen=0)
        return rows.records

    return read


def native(body):
    """Make rows of a body in pixsim's JSON."""
    now = moments.moment(dt.datetime.now(dt.UTC))
    entries = decoding.decode(body, collections.Counter())["logs"]
    return [record(each, now, set()) for each in entries]


READERS = {"native JSON": native, "OTLP protobuf": otlp(protobuf), "OTLP JSON": otlp(json)}


def reading(kind, bodies):
    """Give the µs of decoding and mapping a record, and the rows."""
    read = READERS[kind]
    read(bodies[0])
    start = time.process_time()
    rows = [row for body in bodies for row in read(body)]
    return (time.process_time() - start) / len(rows) * 1e6, rows


async def copying(dsn, rows):
    """Give the µs that COPY of a row takes in the client."""
    connection = await asyncpg.connect(dsn)
    await encoding.prepare(connection)
    for number, row in enumerate(rows):
        row.id = number
    await copy(connection, TABLE["postgres"], rows[:100])
    start = time.process_time()
    await copy(connection, TABLE["postgres"], rows)
    used = time.process_time() - start
    await connection.close()
    return used / len(rows) * 1e6
