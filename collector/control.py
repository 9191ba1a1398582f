"""What a part that runs is told by whoever runs it, and what it tells: that it works."""

from __future__ import annotations

import asyncio


class Failed(Exception):
    """A part did not start, or kept on dying; its own message stands above in the log."""


class Control:
    """
    Between a part and who runs it: *ready* is set by the part, the others by `leave` and `stop`.

    A part that leaves is being replaced: it finishes with those that are connected to it. One
    that stops finishes the requests under way and no more.
    """

    def __init__(self) -> None:
        self.ready = asyncio.Event()
        self.told = asyncio.Event()  # to leave, or to stop
        self.stopped = asyncio.Event()  # to stop

    def leave(self) -> None:
        """Tell it to leave; `stop` may follow."""
        self.told.set()

    def stop(self) -> None:
        """Tell it to stop."""
        self.told.set()
        self.stopped.set()
