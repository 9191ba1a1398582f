"""Somebody who posts all the time, and remembers what was acknowledged."""

from __future__ import annotations

import threading
import time

import psycopg
import requests

from tests.waiting import PATIENCE


class Sender:
    """Posts numbered lines until told to stop; ``acknowledged`` are those answered with 200."""

    def __init__(self, url, first=1):
        self.acknowledged = []
        self.statuses = []
        self._url = f"{url}/api/v1/logs/ingest"
        self._first = first
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send)
        self._thread.start()

    def _send(self):
        number = self._first - 1
        with requests.Session() as session:
            while not self._stop.is_set():
                number += 1
                line = {"level": "INFO", "service": "sender", "attempt": number}
                try:
                    answer = session.post(self._url, json=line, timeout=PATIENCE)
                except requests.ConnectionError:
                    self.statuses.append("gone")
                    time.sleep(0.01)
                    continue
                self.statuses.append(answer.status_code)
                if answer.status_code == 200:
                    self.acknowledged.append(number)

    def stop(self):
        self._stop.set()
        self._thread.join()
        return set(self.acknowledged)


def stored(dsn):
    with psycopg.connect(dsn) as connection:
        rows = connection.execute("SELECT attempt FROM log_entries WHERE service = 'sender'")
        return {row[0] for row in rows}
