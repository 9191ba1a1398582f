"""Run the measurements: ``python -m tests.bench [ingest] [lookups] [exporter]``."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil

from storage import embedded
from tests.bench import exporter, ingest, lookups
from tests.e2e.conftest import configuration


def main(wanted):
    """Start a Postgres and a collector, and measure them; the exporter needs neither."""
    if "exporter" in wanted:
        exporter.main()
    if not {"ingest", "lookups"}.intersection(wanted):
        return
    with tempfile.TemporaryDirectory(prefix="pixsim-bench-") as folder:
        Path(folder).chmod(0o755)  # the embedded server runs as a user of its own under root
        data = Path(folder) / "postgres"
        with embedded.running(data) as dsn:
            config = Path(folder) / "config.yaml"
            config.write_text(configuration(f'dsn: "{dsn}"'))
            command = Path(sys.executable).with_name("pixsim-collector")
            with subprocess.Popen(
                [command, "serve", "--config", config], stderr=subprocess.PIPE, text=True
            ) as process:
                try:
                    line = next(line for line in process.stderr if "listening" in line)
                    native, otlp = re.findall(r"http://[\d.:]+", line)
                    collector = psutil.Process(process.pid)
                    postmaster = psutil.Process(
                        int((data / "postmaster.pid").read_text().split()[0])
                    )
                    if "ingest" in wanted:
                        ingest.main(dsn, native, otlp, collector, postmaster)
                    if "lookups" in wanted:
                        lookups.main(dsn, native)
                finally:
                    process.terminate()


main(sys.argv[1:] or ["ingest", "lookups", "exporter"])
