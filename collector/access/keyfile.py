"""
The keys known last, in a file beside the spool, for a collector that starts without its database.

Who sends then and never tries again would lose what the spool has room for. The file has what the
database has of each key, so never the key itself; it is for its owner alone, and too old after a
while, so that a key that was revoked meanwhile ends.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import structlog

from storage.access_keys import AccessKey

if TYPE_CHECKING:
    from collections.abc import Sequence

AGE = 24 * 3600.0  # seconds after which keys are believed no longer
FRESH = 600.0  # seconds after which the same keys are written again, to be young

log = structlog.get_logger()


class KeyFile:
    """The file at *path*; several processes may write it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written = b""
        self._again = 0.0

    def write(self, keys: Sequence[AccessKey]) -> None:
        """Keep *keys*, whole or not at all; where the disk takes nothing the log says so."""
        unused = [msgspec.structs.replace(key, last_used_at=None) for key in keys]
        content = msgspec.json.encode(unused)
        if content == self._written and time.monotonic() < self._again:
            return
        self._written, self._again = content, time.monotonic() + FRESH
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self._path.parent, delete=False) as file:
                new = Path(file.name)  # which is for its owner alone
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._path)
        except OSError as exc:
            log.warning("keys_not_kept", error=str(exc))

    def read(self) -> tuple[Sequence[AccessKey], float]:
        """Give the keys, and the time, in seconds since 1970, until when they are believed."""
        try:
            until = self._path.stat().st_mtime + AGE
            keys = msgspec.json.decode(self._path.read_bytes(), type=tuple[AccessKey, ...])
        except FileNotFoundError:
            return (), 0.0
        except (OSError, msgspec.DecodeError) as exc:
            log.warning("kept_keys_unreadable", error=str(exc))
            return (), 0.0
        return keys, until
