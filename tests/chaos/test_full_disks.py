"""A disk that is full, under the data of Postgres or under the spool."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests import postgres
from tests.chaos.conftest import LONG
from tests.chaos.traffic import OneTry, Retrying, Traffic, WithKeys
from tests.e2e.conftest import Collector, configuration
from tests.waiting import until

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk"),
    pytest.mark.timeout(400),
]
SENDERS = (OneTry, Retrying, WithKeys)


@contextmanager
def small_disk(megabytes):
    """A disk of so many megabytes; a machine that lets nobody mount one has none."""
    folder = postgres.made_folder("pixsim-chaos-disk-")
    options = ["-o", f"size={megabytes}m,mode=755"]
    mounted = subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", folder], check=False)
    if mounted.returncode != 0:
        folder.rmdir()
        pytest.skip(reason="this machine lets nobody mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
        folder.rmdir()


@contextmanager
def full(folder):
    """Inside the block there is no room left in *folder*."""
    ballast = folder / "ballast"
    with suppress(OSError), ballast.open("wb") as file:
        while True:
            file.write(bytes(65_536))
            file.flush()
    try:
        yield
    finally:
        ballast.unlink(missing_ok=True)


@contextmanager
def running(settings, folder):
    """A collector with these settings of the store."""
    config = folder / "config.yaml"
    config.write_text(configuration(settings, "workers: 1"))
    collector = Collector(config)
    try:
        yield collector
    finally:
        assert collector.stop() == 0


def refused(traffic, status):
    return sum(sender.refused[status] for sender in traffic.senders)


def waiting(collector):
    return collector.counters()["pixsim_spool_records", frozenset()]


def test_under_the_spool(stage, tmp_path):
    """
    While the database is away and the disk under the spool is full, senders are told to try again;
    what was acknowledged before is stored when the database is back, and what is sent again is
    taken as soon as there is room.
    """
    with small_disk(3) as disk:
        spool = f'spool: {{folder: "{disk}", min_free_bytes: 0}}'
        with (
            running(f'dsn: "{stage.dsn}", {spool}', tmp_path) as collector,
            Traffic(collector, SENDERS) as traffic,
        ):
            traffic.go_on()
            stage.server.stop()
            traffic.go_on()
            with full(disk):
                until(lambda: refused(traffic, 503) > 3)
            traffic.go_on()
            stage.server.start()
            traffic.go_on()
            until(lambda: waiting(collector) == 0)
        log = "".join(collector.lines)

    assert not traffic.settled(stage.dsn)
    assert "spool_fills" in log
    assert "spool_drained" in log


@pytest.mark.skipif(not LONG, reason="make chaos has the time for it")
def test_under_the_data(tmp_path):
    """
    While the disk under an embedded Postgres is full, even so that it dies, requests wait in the
    spool; when there is room it is started again, and stores them.
    """
    with small_disk(700) as disk:
        data = disk / "postgres"
        settings = (
            f'dsn: embedded, data_folder: "{data}", text_index: false,'
            f' spool: {{folder: "{tmp_path}"}}'
        )
        with (
            running(settings, tmp_path) as collector,
            Traffic(collector, SENDERS) as traffic,
        ):
            traffic.go_on()
            with full(disk):
                until(lambda: "spool_fills" in collector.output)
                traffic.go_on()
            traffic.go_on()
            until(lambda: waiting(collector) == 0)
            socket = Path((data / "postmaster.pid").read_text().splitlines()[4])
            twice = traffic.settled(f"postgresql://postgres@/postgres?host={socket}")

    assert not twice
