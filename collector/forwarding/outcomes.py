"""What became of the records before a position: recorded with it, counted, and told."""

from __future__ import annotations

import msgspec
import structlog

from collector import telemetry
from collector.forwarding.settlement import Letter  # noqa: TC001  msgspec reads the annotations
from storage.claims import Letter as Recorded
from storage.claims import Progress
from storage.positions import Position  # noqa: TC001  the same

log = structlog.get_logger()


class Outcome(msgspec.Struct, kw_only=True):
    """What is recorded at once: a position, and what became of all before it."""

    position: Position
    sent: int = 0
    rejected: int = 0
    skipped: int = 0  # too old
    gone: int = 0  # deleted before they were read
    letters: list[Letter] = []

    @property
    def empty(self) -> bool:
        """Whether there is nothing but the position."""
        return not (self.sent or self.rejected or self.skipped or self.gone or self.letters)

    def add(self, other: Outcome) -> None:
        """Take in what follows."""
        self.position = other.position
        self.sent += other.sent
        self.rejected += other.rejected
        self.skipped += other.skipped
        self.gone += other.gone
        self.letters += other.letters

    @property
    def progress(self) -> Progress:
        """The same, as storage records it."""
        return Progress(
            position=self.position,
            sent=self.sent,
            rejected=self.rejected,
            skipped=self.skipped,
            gone=self.gone,
            letters=[
                Recorded(letter.record.position, letter.reason, letter.status)
                for letter in self.letters
            ],
        )

    def count(self, destination: str) -> None:
        """Count what is recorded, and tell what was not sent."""
        left_out = {
            "rejected": self.rejected,
            "skipped": self.skipped,
            "gone": self.gone,
            "dead": len(self.letters),
        }
        for name, records in {"sent": self.sent, **left_out}.items():
            if records:
                telemetry.forwarded.labels(destination, name).inc(records)
        if told := {name: records for name, records in left_out.items() if records}:
            reasons = list(dict.fromkeys(letter.reason for letter in self.letters))
            log.warning("forwarding_left_out", destination=destination, **told, reasons=reasons[:3])
