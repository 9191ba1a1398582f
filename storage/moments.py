"""Times as Postgres has them: whole microseconds from its epoch on, also where Python has none."""

from __future__ import annotations

import datetime as dt

Moment = int
INFINITY: Moment = 2**63 - 1
EPOCH = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
FROM_1970 = 946_684_800_000_000  # to the epoch, in microseconds
SECOND, HOUR, _DAY = 1_000_000, 3_600_000_000, 86_400_000_000
_EPOCH_JULIAN = 2_451_545  # days, as dates that begin with J count them


def moment(time: dt.datetime) -> Moment:
    """Give an aware *time*."""
    since = time - EPOCH
    return (since.days * 86_400 + since.seconds) * SECOND + since.microseconds


FIRST, LAST = (  # that Python has
    moment(limit.replace(tzinfo=dt.UTC))
    for limit in (dt.datetime.min, dt.datetime.max)  # noqa: DTZ901  both get one
)


def sent(value: bytes) -> Moment:
    """Give what timestamptz_send has written."""
    return int.from_bytes(value, "big", signed=True)


def time(moment: Moment) -> dt.datetime:
    """
    Give *moment* as Python has it.

    Raises:
        OverflowError: Python's times end before it.
    """
    return EPOCH + dt.timedelta(microseconds=moment)


def time_within(moment: Moment) -> dt.datetime | None:
    """Give *moment* as Python has it; neither the first nor the last time that it has."""
    return time(moment) if FIRST < moment < LAST else None


def literal(moment: Moment) -> str:
    """Give *moment* as Postgres reads it; Python has no times beyond its years 1 to 9999."""
    if abs(moment) >= INFINITY:
        return "infinity" if moment > 0 else "-infinity"
    days, rest = divmod(moment, _DAY)
    seconds, microseconds = divmod(rest, SECOND)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    julian = _EPOCH_JULIAN + days
    return f"J{julian} {hours:02}:{minutes:02}:{seconds:02}.{microseconds:06}+00"
