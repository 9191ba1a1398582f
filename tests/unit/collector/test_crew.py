"""What becomes of worker processes that do not do what they should."""

from __future__ import annotations

import asyncio
import sys

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from collector import configfile, crew
from collector.control import Control, Failed
from collector.crew import Crew, Places

READY = "import socket, sys, time; s = socket.socket(fileno=0); s.sendall(b'ready\\n');"


@pytest.fixture(name="config")
def _config():
    config = configfile.parse("", "defaults", {}).config
    return replace(config, service=replace(config.service, workers=2, shutdown_timeout=0.01))


@pytest.fixture(name="control")
def _control():
    return Control()


@pytest.fixture(name="hired")
def _hired(config, control, tmp_path, monkeypatch):
    """A function that makes a crew whose workers run this program."""

    def hired(program):
        monkeypatch.setattr(crew, "COMMAND", (sys.executable, "-S", "-E", "-c", program))
        monkeypatch.setattr(crew, "PAUSES", (0.0, 0.01))
        monkeypatch.setattr(crew, "GRACE", 0.1)
        return Crew(config, "postgresql://", {}, Places(tmp_path), control)

    return hired


async def test_a_worker_that_does_not_start(hired):
    """
    Workers that end before they work are not tried again: somebody has to mend something.
    """
    with pytest.raises(Failed, match="ended at its start, with exit code 3"):
        await hired("raise SystemExit(3)").run()


async def test_a_worker_that_dies_again_and_again(hired):
    """
    A worker is started again with growing pauses, and given up when it dies each time.
    """
    with capture_logs() as lines, pytest.raises(Failed):
        await hired(f"{READY} raise SystemExit(4)").run()
    deaths = [line for line in lines if line["event"] == "worker_died"]

    assert {0.0, 0.01} == {line["again_in_seconds"] for line in deaths}
    assert {4} == {line["exit_code"] for line in deaths}


async def test_a_worker_that_does_not_stop(hired, control):
    """
    A worker that was told to stop and does not is killed, which is told.
    """
    with capture_logs() as lines:
        running = asyncio.create_task(hired(f"{READY} time.sleep(60)").run())
        await control.ready.wait()
        control.stop()
        await asyncio.wait_for(running, 10)

    assert ["worker_killed"] * 3 == [line["event"] for line in lines]


def test_places(tmp_path):
    """
    A worker has the lowest place that is free, and its counters go on there; there are enough
    for several generations at once, and no more.
    """
    places = Places(tmp_path)
    first = [places.take() for _ in range(3)]
    places.give(1)

    assert [0, 1, 2] == first
    assert places.take() == 1
    with pytest.raises(Failed, match="256 workers are running or leaving"):
        [places.take() for _ in range(254)]
