"""How far the transaction of a group of requests has come, and what a failure leaves in doubt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg
import msgspec

from storage.errors import StorageError, Uncertain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage.database import Lender
    from storage.records import LogRecord
    from storage.repeats import Keys


class Attempt(msgspec.Struct):
    """One transaction, perhaps tried again, on a connection of *lender*."""

    lender: Lender
    refused: dict[int, str] = {}  # reasons, by the places of records
    backend: int = 0  # the server's process
    uncertain: bool = False  # whether it may be committed, whatever we hear of it

    def failed(self, exc: StorageError) -> StorageError:
        """Give what is to be told of *exc*: perhaps that nobody knows what is stored."""
        cause = exc.__cause__
        # The server, still there, has said itself that it failed.
        if isinstance(cause, asyncpg.PostgresError) and cause.severity_en == "ERROR":
            self.uncertain = False
        if not self.uncertain:
            return exc
        failure = Uncertain(str(exc), self.backend)
        failure.__cause__ = cause
        return failure

    def keep_ids(self, records: Sequence[LogRecord], keys: Keys) -> None:
        """Leave an id to those records alone that it may have stored, though it failed."""
        for place, record in enumerate(records):
            if not self.uncertain or place in self.refused or place in keys.ids:
                record.id = None
