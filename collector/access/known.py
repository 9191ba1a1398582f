"""
The keys of this moment, in memory, so that a check is a look into a dictionary.

They are read again every second: a key that is made or revoked is so within about that, in every
process and behind every pooler. While the database is away, those known last hold; where it is
from the start, those that `KeyFile` kept, for a while.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog

from storage import access_keys, sessions
from storage.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from collector.access.keyfile import KeyFile
    from storage.access_keys import AccessKey
    from storage.database import Pool

AGAIN = 1.0  # seconds until the keys are read again
NOTED = 60.0  # seconds between two notes of which keys are used
FOR_EVER = float("inf")

log = structlog.get_logger()


class Known:
    """Keys by their digest, each with the time, in seconds since 1970, until when it holds."""

    def __init__(self, pool: Pool, file: KeyFile | None = None) -> None:
        self.kept = True  # whether they are those of the file, and some may be missing
        self.ended: set[str] = set()  # sessions, that would hold still
        self.used: set[int] = set()  # ids, since that was last noted
        self._pool = pool
        self._file = file
        self._until = 0.0  # when they are known no longer
        self._by_digest: dict[bytes, tuple[AccessKey, float]] = {}
        self._by_id: dict[int, AccessKey] = {}
        self._held: dict[asyncio.Task[object], tuple[bytes, float, str | None]] = {}

    @property
    def ready(self) -> bool:
        """Whether they are known."""
        return time.time() < self._until

    def find(self, digest: bytes) -> tuple[AccessKey, float] | None:
        """Give the key with this digest, and when it ends, which may be over."""
        return self._by_digest.get(digest)

    def named(self, number: int) -> AccessKey | None:
        """Give the key with this id."""
        return self._by_id.get(number)

    def hold(
        self, task: asyncio.Task[object], digest: bytes, until: float, session: str | None
    ) -> None:
        """Cancel *task*, an answer under way, when the key of *digest* or another is over."""
        self._held[task] = (digest, until, session)

    def release(self, task: asyncio.Task[object]) -> None:
        """Forget *task*, which has ended."""
        self._held.pop(task, None)

    async def read(self) -> None:
        """
        Read the keys, and end what is asked for by those that are no more.

        Raises:
            Unavailable: the database is away; those known before hold.
        """
        keys = await access_keys.known(self._pool)
        self.ended = await sessions.ended(self._pool)
        self._take(keys, FOR_EVER)
        self.kept = False
        if self._file is not None:
            await asyncio.to_thread(self._file.write, keys)

    def read_file(self) -> None:
        """Take the keys of the file, if there is one."""
        if self._file is not None:
            keys, until = self._file.read()
            self._take(keys, until)
            if self.ready:
                log.warning("keys_of_file", keys=len(keys), seconds=int(until - time.time()))

    def _take(self, keys: Sequence[AccessKey], until: float) -> None:
        found = {}
        for key in keys:
            end = FOR_EVER if key.expires_at is None else key.expires_at.timestamp()
            found[key.digest] = (key, end)
            if key.former is not None and key.former_until is not None:
                found[key.former] = (key, min(end, key.former_until.timestamp()))
        self._by_digest = found
        self._by_id = {key.id: key for key in keys}
        self._until = until

    def end(self) -> None:
        """Cancel the answers under way whose key or time is over."""
        now = time.time()
        for task, (digest, until, session) in list(self._held.items()):
            known = self._by_digest.get(digest)
            if known is None or session in self.ended or now >= min(known[1], until):
                task.cancel()

    async def run(self) -> None:
        """Read the keys again and again, and note which are used."""
        failing = False
        noted = time.monotonic()
        while True:
            await asyncio.sleep(AGAIN)
            try:
                await self.read()
                if self.used and time.monotonic() - noted > NOTED:
                    noted = time.monotonic()
                    used, self.used = self.used, set()
                    await access_keys.used(self._pool, used)
                failing = False
            except Unavailable as exc:
                if not failing:
                    log.warning("keys_stay_as_they_were", reason=str(exc))
                failing = True
            self.end()


@asynccontextmanager
async def knowing(pool: Pool, file: KeyFile | None) -> AsyncIterator[Known]:
    """The keys, kept up to date inside the block; where they can't be read, those of *file*."""
    known = Known(pool, file)
    try:
        await known.read()
    except Unavailable:  # then they are read as soon as they can be
        known.read_file()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(known.run(), name="keys")
        try:
            yield known
        finally:
            task.cancel()
