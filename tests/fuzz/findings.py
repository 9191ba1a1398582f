"""What was found to be wrong, each kind once, with what it was found by."""

from __future__ import annotations

import re
from collections import Counter

import hypothesis
from hypothesis import HealthCheck, Phase

KEPT = 5  # of a kind


class Findings:
    """A list of kinds, and a *folder* of what brought each about."""

    def __init__(self, folder):
        self._folder = folder
        self.kinds = Counter()

    def add(self, kind, body=b"", headers=None):
        """Add one; kinds that differ in numbers or the end alone are one."""
        kind = re.sub(r"0x[0-9a-f]+|\d{4,}", "N", kind)[:200]
        self.kinds[kind] += 1
        if self.kinds[kind] <= KEPT:
            file = self._folder / f"{len(self.kinds)}-{self.kinds[kind]}"
            file.write_bytes(body)
            print(f"FOUND {kind!r}, {headers or {}}: {file}", flush=True)


def settings(examples):
    """Give the settings of a search that runs on whatever it finds."""
    return hypothesis.settings(
        max_examples=examples,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
