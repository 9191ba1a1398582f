"""Who deletes records, and how it is told: by the log, a counter, and the table of deletions."""

from __future__ import annotations

import datetime as dt
import getpass
import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from collector import telemetry
from collector.housekeeping import Chore
from storage import audit
from storage.audit import LOCAL, Origin
from storage.deletion import Actor
from storage.expiry import Busy, Expiry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage.database import Pool
    from storage.retention import Policy
    from storage.survey import Going

INTERVAL = 600.0  # seconds

log = structlog.get_logger()


def actor(command: str) -> Actor:
    """Give who we are, having been told *command*."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # nobody of that number is known here, as in many a container
        user = str(os.getuid())
    return Actor(who=f"{user}@{socket.gethostname()}", command=command)


async def note(pool: Pool, command: str) -> None:
    """Write down what we have been told, before it is done."""
    await audit.write(pool, local(), command)


def local() -> Origin:
    """Give who we are, as the audit has it."""
    return Origin(LOCAL, actor("").who)


def expiring(pool: Pool, policy: Policy) -> Chore:
    """Give the chore that deletes what *policy* no longer keeps."""
    expiry = Expiry(policy, actor("serve"))

    async def expire() -> Sequence[str]:
        with suppress(Busy):  # another collector does it
            clock = await expiry.apply(pool, dt.datetime.now(dt.UTC), _tell)
            telemetry.retention_held.set(clock.until is not None)
            if clock.until is not None:
                log.warning(
                    "clock_jumped",
                    counts=clock.counted.isoformat(),
                    shows=clock.seen.isoformat(),
                    counts_from=clock.until.isoformat(),
                )
        return ()

    return Chore(name="retention", interval=INTERVAL, do=expire)


def _tell(going: Going) -> None:
    for each in going.deleted:
        telemetry.records_deleted.labels(each.reason).inc(each.records)
    log.info(
        "records_deleted",
        place=going.place,
        dropped=going.whole,
        records={each.reason: each.records for each in going.deleted},
        bytes=going.bytes,
    )
