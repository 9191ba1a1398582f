"""A LoggerProvider whose only processor is a queue of ours, which a test can look into."""

from __future__ import annotations

from tests.unit.exporter.records import WORKER


class Queue(list):
    put = list.append


class Provider:
    def __init__(self):
        self.resource = WORKER
        self.direct = Queue()
