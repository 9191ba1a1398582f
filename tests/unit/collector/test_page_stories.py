"""What the page tells of a story: how it ended, its attempts, and how its times are written."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from collector import page

FOLDER = Path(page.__file__).parent / "story"
NODE = shutil.which("node")
RUN = """
    import { readFileSync } from "node:fs";
    const read = (name) => "data:text/javascript," + encodeURIComponent(
        readFileSync(`${process.argv[1]}/${name}`, "utf-8")
            .replace(/from "\\.\\/([^"]+)"/g, (_, other) => `from "${read(other)}"`));
    const module = await import(read(process.argv[2]));
    const calls = JSON.parse(readFileSync(0, "utf-8"));
    console.log(JSON.stringify(calls.map(([name, ...given]) => module[name](...given))));
"""


def ran(script, *calls):
    """Give what functions of a script give, each called with its arguments."""
    if NODE is None:
        pytest.skip(reason="no node on this machine, which would run the page's script")
    done = subprocess.run(
        [NODE, "--input-type=module", "-e", RUN, FOLDER, script],
        input=json.dumps(calls),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def record(stage=None, severity=9, second=0, **more):
    time = f"2026-01-05T10:00:{second:02}.000000Z"
    return {"timestamp": time, "severity_number": severity, "service": "a", "stage": stage, **more}


NOW = 1_767_607_260_000  # a minute after the first record
LATER = NOW + 3_600_000
START, BROKEN = record("pipeline:start"), record("provider:error", 17)
AGAIN, NO_MORE = (
    record("retry:decision", 13, extra={"will_retry": retries}) for retries in (True, False)
)
DONE, OOPS = record("provider:complete"), record(None, 17)
OUTCOMES = [
    ("goes on", "job", [START], NOW, "going"),
    ("was heard of long ago", "job", [START], LATER, "silent"),
    ("says nothing of how it goes", "job", [record()], NOW, "silent"),
    ("reached its end", "job", [START, DONE, record()], LATER, "succeeded"),
    ("failed", "job", [START, BROKEN, record()], NOW, "failed"),
    ("failed by a stage without a level", "job", [record("provider:error")], NOW, "failed"),
    ("is tried again", "job", [START, BROKEN, AGAIN], NOW, "going"),
    ("is not tried again", "job", [START, AGAIN, NO_MORE], NOW, "failed"),
    ("failed, and goes on", "job", [BROKEN, record("provider:submit")], NOW, "going"),
    ("failed, and then succeeded", "job", [BROKEN, AGAIN, DONE], LATER, "succeeded"),
    ("succeeded, and something else broke", "job", [DONE, OOPS], LATER, "succeeded"),
    ("succeeded, and a stage broke", "job", [DONE, BROKEN], LATER, "failed"),
    ("was answered", "request", [OOPS, record(extra={"status_code": 202})], NOW, "answered"),
    ("was refused", "request", [record(extra={"http.status_code": 404})], NOW, "refused"),
    ("failed by its answer", "request", [record(extra={"status_code": "503"})], NOW, "failed"),
    ("has no answer", "request", [START, BROKEN], NOW, "failed"),
    ("has an error", "trace", [DONE, OOPS], NOW, "errors"),
    ("has none", "trace", [START], NOW, "clean"),
]


def test_how_a_story_ended():
    """
    How a story ended is what the last record that has a say says; where none has, nothing is
    claimed.
    """
    found = ran(
        "account.js", *(["outcome", kind, records, now] for _, kind, records, now, _ in OUTCOMES)
    )

    assert {name: expected for name, *_, expected in OUTCOMES} == {
        name: outcome["name"] for (name, *_), outcome in zip(OUTCOMES, found, strict=True)
    }


def test_the_answer_is_that_of_who_was_asked_first():
    """
    Of several answers the one of the first service that has any counts: what it asked others on
    the way is no answer to the sender.
    """
    gateway = record(service="gateway")
    called = record(service="worker", extra={"status_code": 429}, second=2)
    answered = record(service="gateway", extra={"status_code": 200}, second=3)

    (found,) = ran("account.js", ["outcome", "request", [gateway, called, answered], NOW])

    assert (200, answered) == (found["status"], found["entry"])


def test_attempts_and_silences():
    """
    An attempt goes from its first record to its last, and each job has its own; a silence has a
    name from a second on, and from a twentieth of the whole.
    """
    tries = [
        record(attempt=0, job_id=1),
        record(attempt=0, job_id=1, severity=17, second=9),
        record(attempt=1, job_id=1, second=10),
        record(attempt=1, extra={"job_id": "two"}, second=12),
    ]

    attempts, silences, short = ran(
        "account.js",
        ["attempts", tries],
        ["gaps", [0, 1_500, 20_000, 39_900, 40_000], 40_000],
        ["gaps", [0, 900, 1_000], 1_000],
    )

    assert [("1", 0, 9, True), ("1", 1, 0, False), ("two", 1, 0, False)] == [
        (each["job"], each["attempt"], (each["end"] - each["start"]) / 1_000, each["failed"])
        for each in attempts
    ]
    assert [(20_000, 39_900), (1_500, 20_000)] == [
        (each["start"], each["end"]) for each in silences
    ]
    assert [] == short


def test_times_since_the_start():
    """
    Times are told from the start of the story, as exact as the step from one to the next.
    """
    cases = {"+0.000": 0, "+12.346": 12_345.6, "+2:05.120": 125_120, "+1:02:05.120": 3_725_120}
    axes = {
        (0, 40_000, 900): ["0", "5 s", "10 s", "15 s"],
        (0, 2, 900): ["0", "1 ms", "2 ms"],
        (61_000, 62_000, 900): ["1:01", "1:01.1", "1:01.2"],
        (0, 5_400_000, 900): ["0", "10:00", "20:00"],
        (-1_500, 3_000, 900): [
            "\N{MINUS SIGN}1.5 s",
            "\N{MINUS SIGN}1 s",
            "\N{MINUS SIGN}0.5 s",
            "0",
            "0.5 s",
        ],
    }

    written = ran("scale.js", *(["elapsed", ms] for ms in cases.values()))
    ticks = ran(
        "scale.js",
        *(["ticks", {"from": start, "to": end, "width": width}, 0] for start, end, width in axes),
    )

    assert list(cases) == written
    for names, found in zip(axes.values(), ticks, strict=True):
        assert names == [tick["name"] for tick in found][: len(names)]


def spans(*pairs):
    """Records, each a second after the one before, of spans and what they name as a parent."""
    for second, (span, parent) in enumerate(pairs):
        span_id = span and f"{span:016x}"
        yield record(second=second, span_id=span_id, msg="m", extra={"parent_span_id": parent})


SPANS = {
    "below its parent, by its beginning": (
        [(1, None), (2, f"{1:016x}"), (3, f"{2:016x}"), (4, f"{1:016X}")],
        [(1, 0), (2, 1), (3, 2), (4, 1)],
    ),
    "its parent comes later": ([(2, f"{1:016x}"), (1, None)], [(1, 0), (2, 1)]),
    "its parent is not there": ([(1, f"{9:016x}")], [(1, 0)]),
    "what is no span id is no parent": (
        [(1, None), (2, 1), (3, "1"), (4, {})],
        [(1, 0), (2, 0), (3, 0), (4, 0)],
    ),
    "its own parent": ([(1, f"{1:016x}")], [(1, 0)]),
    "in a circle": ([(1, f"{2:016x}"), (2, f"{1:016x}")], [(1, 0), (2, 1)]),
    "in no span": ([(None, None), (1, None)], [("a", 0), (1, 0)]),
}


def test_spans_stand_below_their_parents():
    """
    A span stands below the one that its records name, and by itself where they name none that is
    there; none is lost, whatever they say.
    """
    found = ran("lanes.js", *(["bySpan", list(spans(*pairs))] for pairs, _ in SPANS.values()))

    assert {
        name: [(f"{key:016x}" if isinstance(key, int) else key, depth) for key, depth in lanes]
        for name, (_, lanes) in SPANS.items()
    } == {
        name: [(lane["key"], lane["depth"]) for lane in lanes]
        for name, lanes in zip(SPANS, found, strict=True)
    }


def test_a_chain_of_thousands_of_spans():
    """
    However deep spans are in each other, all are there.
    """
    records = [
        record(span_id=f"{n:016x}", msg="m", extra={"parent_span_id": f"{n - 1:016x}"})
        for n in range(1, 2_000)
    ]

    (found,) = ran("lanes.js", ["bySpan", records])

    assert list(range(1_999)) == [lane["depth"] for lane in found]
