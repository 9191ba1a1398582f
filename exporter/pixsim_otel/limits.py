"""
How much of a value is kept, how much may wait, and when a batch leaves.

The SDK has variables for most of it, which are read here, and honoured where they are set.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec
from opentelemetry.sdk._logs import LogRecordLimits

from . import settings

if TYPE_CHECKING:
    from collections.abc import Mapping

MIB = 1 << 20


class ValueLimits(msgspec.Struct, frozen=True, kw_only=True):
    """
    What is kept of a record's values.

    https://opentelemetry.io/docs/specs/otel/common/#attribute-limits
    """

    text: int = MIB  # characters of a string with its note of being cut; bytes of bytes
    nested_text: int = MIB  # characters of all the strings in one list or dict
    items: int = 10_000  # of lists and dicts in one value, at all levels together
    depth: int = 24  # what a receiver's protobuf library reads, 100 messages, is 31
    attributes: int = 128


class QueueLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What may wait to be sent, and for how long."""

    batch_records: int = 512
    batch_bytes: int = 4 * MIB  # a batch of several records is not larger, by `Record.size`
    batch_seconds: float = 1.0  # the longest that a record waits for others
    queue_records: int = 65_536  # those that are being sent included
    queue_bytes: int = 64 * MIB  # likewise
    flush_seconds: float = 30.0  # that a flush or a shutdown waits unless told otherwise


VALUES = ValueLimits()
QUEUE = QueueLimits()


def read_values() -> ValueLimits:
    """Read OTEL_LOGRECORD_ATTRIBUTE_{VALUE_LENGTH,COUNT}_LIMIT, and those without LOGRECORD."""
    try:
        found = LogRecordLimits()
    except ValueError as error:
        settings.say(f"{error}, so the default is taken")
        return VALUES
    text, attributes = found.max_log_record_attribute_length, found.max_log_record_attributes
    return ValueLimits(
        text=VALUES.text if text is None else text,
        attributes=VALUES.attributes if attributes is None else attributes,
    )


def read_queue(
    batch_records: int | None = None,
    batch_seconds: float | None = None,
    environ: Mapping[str, str] = os.environ,
) -> QueueLimits:
    """Read OTEL_BLRP_*, which go before what is given; what is neither has its default."""
    milliseconds = _positive(environ, "OTEL_BLRP_SCHEDULE_DELAY")
    timeout = _positive(environ, "OTEL_BLRP_EXPORT_TIMEOUT")
    queue_records = _positive(environ, "OTEL_BLRP_MAX_QUEUE_SIZE") or QUEUE.queue_records
    records = _positive(environ, "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE") or batch_records
    seconds = milliseconds / 1000 if milliseconds else batch_seconds
    return QueueLimits(
        batch_records=min(records or QUEUE.batch_records, queue_records),
        batch_seconds=seconds or QUEUE.batch_seconds,
        queue_records=queue_records,
        flush_seconds=timeout / 1000 if timeout else QUEUE.flush_seconds,
    )


def _positive(environ: Mapping[str, str], name: str) -> int | None:
    text = environ.get(name, "").strip()
    if not text:
        return None
    if text.isdecimal() and int(text) > 0:
        return int(text)
    settings.say(f"{name}: {text!r} is no positive integer, so the default is taken")
    return None
