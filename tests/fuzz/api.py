"""Requests right and wrong to every path of the API, by its OpenAPI document."""

from __future__ import annotations

import random
import time
from collections import Counter

import hypothesis
import requests
from hypothesis.errors import HypothesisException
from schemathesis.core.failures import FailureGroup
from schemathesis.generation import GenerationMode

from tests.e2e.test_openapi import PATHS, answered, described
from tests.fuzz.findings import settings


class Asker:
    """Ask *collector*; what is odd goes to *findings*."""

    def __init__(self, collector, findings):
        self.statuses = Counter()
        self._collector = collector
        self._findings = findings
        self._operations = [found.ok() for found in described(*PATHS).get_all_operations()]

    def round(self, seconds, seed):
        """Ask for so many seconds, each time of another operation."""
        end, chance = time.monotonic() + seconds, random.Random(seed)
        while time.monotonic() < end:
            operation = chance.choice(self._operations)
            mode = chance.choice(list(GenerationMode))
            try:
                self._ask(operation.as_strategy(generation_mode=mode), chance.randrange(2**32))
            except HypothesisException:
                self.statuses[operation.label, f"nothing {mode.value}"] += 1

    def _ask(self, cases, seed):
        @hypothesis.seed(seed)
        @settings(examples=10)
        @hypothesis.given(case=cases)
        def ask(case):
            label = case.operation.label
            try:
                answer = answered(case, self._collector)
            except FailureGroup as group:
                for each in group.exceptions:
                    told = f"{label}: {each}".partition("\n")[0]
                    asked = f"{each}\n\n{case.as_curl_command()}".encode()
                    self._findings.add(f"{told} ({type(each).__name__})", asked)
            except requests.RequestException as exc:
                self._findings.add(
                    f"{label}: {type(exc).__name__}", case.as_curl_command().encode()
                )
            else:
                self.statuses[label, answer.status_code] += 1

        ask()
