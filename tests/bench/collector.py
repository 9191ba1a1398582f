"""The collector that is measured: the installed command, on an embedded Postgres of its own."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psutil

from storage import embedded
from tests.e2e.conftest import configuration


class Running(msgspec.Struct, kw_only=True):
    """A collector that runs, and the parts of it to look at."""

    dsn: str
    native: str  # URLs
    otlp: str
    process: psutil.Process  # its supervisor
    postmaster: psutil.Process


@contextmanager
def running(*, workers="0", settings="", exporters="", within=()):
    """
    Run one with so many workers, more settings of the store and more exporters.

    *within* is a command that runs it.
    """
    with tempfile.TemporaryDirectory(prefix="pixsim-bench-") as folder:
        Path(folder).chmod(0o755)  # the embedded server runs as a user of its own under root
        data = Path(folder) / "postgres"
        with embedded.running(data) as dsn:
            config = Path(folder) / "config.yaml"
            text = configuration(f'dsn: "{dsn}"{settings}')
            config.write_text(
                text.replace("extensions:", f"{exporters.strip(chr(10))}\nextensions:")
            )
            command = Path(sys.executable).with_name("pixsim-collector")
            with subprocess.Popen(
                [*within, command, "serve", "--config", config, "--workers", workers],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            ) as started:
                process = psutil.Process(started.pid)
                line = next(line for line in started.stderr if "listening" in line)
                native, otlp = re.findall(r"http://[\d.:]+", line)
                if within:
                    (process,) = process.children()
                try:
                    yield Running(
                        dsn=dsn,
                        native=native,
                        otlp=otlp,
                        process=process,
                        postmaster=psutil.Process(
                            int((data / "postmaster.pid").read_text().split()[0])
                        ),
                    )
                finally:
                    process.terminate()
                    started.stderr.read()  # to its end, or a full pipe would keep it
