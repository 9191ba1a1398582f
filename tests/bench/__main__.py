"""Run the measurements: ``python -m tests.bench [--workers N] [ingest] [lookups] [exporter] [overload]``."""

from __future__ import annotations

import argparse

from tests.bench import collector, exporter, ingest, lookups, overload

WHICH = ("ingest", "lookups", "exporter")


def main():
    """Start a Postgres and a collector, and measure them; the exporter needs neither."""
    parser = argparse.ArgumentParser("python -m tests.bench")
    parser.add_argument(
        "wanted", nargs="*", metavar="MEASUREMENT", help=f"of {', '.join(WHICH)}; or overload"
    )
    parser.add_argument("--workers", default="0", metavar="N", help="of the collector's ingest")
    arguments = parser.parse_args()
    wanted = arguments.wanted or WHICH
    if "exporter" in wanted:
        exporter.main()
    if "lookups" in wanted:
        lookups.main()
    if "overload" in wanted:
        overload.main(arguments.workers)
    if "ingest" not in wanted:
        return
    # A machine that has other things to do too may take longer than a second for so much at once.
    with collector.running(workers=arguments.workers, settings=", max_wait: 30") as it:
        ingest.main(it)


main()
