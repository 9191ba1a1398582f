"""
Wild bodies to the receivers' decoders alone, for so many seconds; what is no refusal is a bug.

With atheris, where it is installed, those that reach code that no other did are varied further;
else all are varied by chance.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz import mutations

LONGEST = 20  # seconds for a body
MOST_MEMORY = 2_048  # MB
NAMES = ("NativeSingle", "NativeBatch", "OtlpJson", "OtlpProtobuf")


def guided(atheris, seconds, seed, findings):
    """Let atheris choose the bodies."""
    with atheris.instrument_imports(include=["collector", "storage"]):
        from tests.fuzz import ways

    def one(data):
        if data:
            ways.taken(NAMES[data[0] % len(NAMES)], data[1:])

    with tempfile.TemporaryDirectory(prefix="pixsim-fuzz-") as corpus:
        for protocol, bodies in mutations.seeds().items():
            for number, body in enumerate(bodies):
                name = Path(corpus, f"{protocol.__name__}-{number}")
                name.write_bytes(bytes([NAMES.index(protocol.__name__)]) + body)
        limits = [
            f"-max_total_time={int(seconds)}",
            f"-timeout={LONGEST}",
            f"-rss_limit_mb={MOST_MEMORY}",
            f"-max_len={mutations.LARGEST}",
        ]
        options = [f"-seed={seed}", f"-artifact_prefix={findings}/", "-print_final_stats=1"]
        atheris.Setup([sys.argv[0], *limits, *options, corpus], one)
        atheris.Fuzz()


def by_chance(seconds, seed, findings):
    """Vary bodies by chance."""
    from tests.fuzz import ways

    end, number = time.monotonic() + seconds, 0
    bodies = mutations.endless(random.Random(seed))
    while time.monotonic() < end:
        protocol, body = next(bodies)
        try:
            ways.taken(protocol.__name__, body)
        except Exception:
            (findings / f"{protocol.__name__}-{number}").write_bytes(body)
            raise
        number += 1
    print(f"decoded {number:,} bodies, not guided, for there is no atheris here")


def main():
    """Do it."""
    parser = argparse.ArgumentParser("python -m tests.fuzz.decoders", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--findings", type=Path, default=Path("build/fuzz"))
    arguments = parser.parse_args()
    given = arguments.seconds, arguments.seed, arguments.findings.resolve()
    arguments.findings.mkdir(parents=True, exist_ok=True)
    try:
        import atheris
    except ImportError:
        by_chance(*given)
    else:
        guided(atheris, *given)


if __name__ == "__main__":
    main()
