"""The commands of people at a terminal, against a running collector."""

from __future__ import annotations

import json
import signal
import subprocess

import pytest
import requests

from tests.e2e.conftest import COMMAND


@pytest.fixture(name="run")
def _run(shared):
    """A function that runs a command on the collector; gives its code, output and errors."""

    def run(*arguments, url=None):
        done = subprocess.run(
            [COMMAND, *arguments, "--url", url or shared.native],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        return done.returncode, done.stdout, done.stderr

    return run


def send(collector, *logs):
    body = {"logs": [{"level": "INFO", "service": "api", **log} for log in logs]}
    answer = requests.post(f"{collector.native}/api/v1/logs/ingest/batch", json=body, timeout=10)
    assert len(logs) == answer.json()["count"]


def test_query_shows_what_the_search_finds(shared, run):
    """
    `query` shows the newest records that the search finds, the newest last, and no others.
    """
    send(shared, *({"msg": f"found {n}", "request_id": "query-1", "attempt": n} for n in range(4)))
    code, out, errors = run("query", "request_id:query-1 attempt>=1", "--limit", "2")

    assert (0, "") == (code, errors)
    assert ["found 2", "found 3"] == [line[line.index("found") :][:7] for line in out.splitlines()]
    assert "\x1b" not in out


def test_query_pages_beyond_an_answer_s_limit(shared, run):
    """
    `query --json` gives more records than one answer may have, each once, with every field.
    """
    send(shared, *({"msg": "many", "request_id": "query-2", "attempt": n} for n in range(2_100)))
    code, out, _ = run("query", "request_id:query-2", "--limit", "2050", "--json")
    found = [json.loads(line) for line in out.splitlines()]

    assert 0 == code
    assert list(range(50, 2_100)) == [entry["attempt"] for entry in found]
    assert {"id", "timestamp", "extra", "trace_id"} <= found[0].keys()


def test_trace_tells_the_story(shared, run):
    """
    `trace` shows the records of a job in order, with the time between them, and where the page is
    that shows them.
    """
    times = [f"2025-11-13T12:00:{second:02}Z" for second in (0, 1, 31)]
    send(shared, *({"msg": f"step {t[17:19]}", "job_id": 4711, "timestamp": t} for t in times))
    code, out, _ = run("trace", "job", "4711")

    assert 0 == code
    head, *lines, last = out.splitlines()
    assert f"in the browser: {shared.native}/?view=job&id=4711" == last
    assert head.startswith("job 4711 · 3 records · api · 2025-11-13 12:00:00 UTC, 31.0 s")
    assert ["+0.000", "+1.000", "┄┄", "+31.000"] == [line.split()[0] for line in lines]


def test_trace_of_nothing_says_so(run):
    """
    An id without records is no error, and is not an empty answer either.
    """
    assert (0, "job 987654321 has no records\n", "") == run("trace", "job", "987654321")


def test_a_mistake_in_the_search_is_shown_where_it_is(run):
    """
    A search that cannot be read is told with a mark below the mistake, and exit code 2.
    """
    code, out, errors = run("query", "service:worker (level:error")

    assert (2, "") == (code, out)
    assert "  service:worker (level:error\n" in errors
    assert "^" in errors.splitlines()[-1]


def test_a_collector_that_is_away_is_one_line(run):
    """
    A collector that cannot be reached, or a URL that is none, is one line and exit code 2.
    """
    for url in ("http://127.0.0.1:1", "localhost"):
        code, out, errors = run("query", url=url)

        assert (2, "", 1) == (code, out, errors.count("\n"))


def test_stats_shows_how_numbers_are_spread(shared, run):
    """
    `stats` shows a line a group with its count and numbers, as the API has them.
    """
    send(
        shared,
        *(
            {"msg": "took", "request_id": "stats-1", "stage": stage, "duration_ms": took}
            for stage, took in (("a", 1000.5), ("a", 2000.5), ("b", 7), ("b", 8), ("b", 9))
        ),
    )
    code, out, _ = run("stats", "request_id:stats-1", "--by", "stage")
    head, names, *groups = [line.split() for line in out.splitlines()]

    assert (0, ["5", "records"]) == (code, head[:2])
    assert ["stage", "records", "count", "min", "avg"] == names[:5]
    assert [["b", "3", "3", "7", "8"], ["a", "2", "2", "1,000.5", "1,500.5"]] == [
        group[:5] for group in groups
    ]
    code, out, _ = run("stats", "request_id:stats-1", "--by", "stage", "--json")
    assert (0, [3, 2]) == (code, [group["records"] for group in json.loads(out)["groups"]])


@pytest.mark.parametrize("form", ["jsonl", "csv", "spreadsheet", "parquet"])
def test_export_writes_a_file_that_is_whole(shared, run, tmp_path, form):
    """
    `export` writes what the API gives to the file, byte for byte, and leaves nothing beside it.
    """
    send(shared, *({"msg": f"a,\n{n}", "request_id": f"export-{form}"} for n in range(1_500)))
    target = tmp_path / "logs"
    search = f"request_id:export-{form}"
    code, out, errors = run("export", search, "--format", form, "--output", str(target))
    asked = {"q": search, "format": form}
    answer = requests.get(f"{shared.native}/api/v1/logs/export", params=asked, timeout=10)

    assert (0, "", "") == (code, out, errors)
    assert answer.content == target.read_bytes()
    assert [target] == list(tmp_path.iterdir())


def test_export_goes_to_a_pipe(shared, run):
    """
    Without a file, an export goes to the standard output.
    """
    send(shared, *({"msg": "piped", "request_id": "export-pipe"} for _ in range(3)))
    code, out, _ = run("export", "request_id:export-pipe", "--limit", "2")

    assert 0 == code
    assert ["piped"] * 2 == [json.loads(line)["msg"] for line in out.splitlines()]


def test_export_that_is_refused_leaves_no_file(run, tmp_path):
    """
    A search that cannot be read is said, and nothing is there that could be taken for its answer.
    """
    code, _, errors = run("export", "lvel:error", "--output", str(tmp_path / "logs"))

    assert 2 == code
    assert "did you mean `level`" in errors
    assert not (tmp_path / "logs").exists()


def test_tail_shows_what_is_stored_until_it_is_told_to_stop(shared):
    """
    `tail` shows records as they come; Ctrl-C ends it with 130 and a word on how to go on, and an
    output that nobody reads any more ends it without one.
    """
    url = ("--url", shared.native)
    following = [
        subprocess.Popen(
            [COMMAND, "tail", "request_id:tail-1", "--since", "1h", *form, *url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for form in ([], ["--json"])
    ]
    send(shared, {"msg": "first", "request_id": "tail-1"}, {"msg": "no"})
    plain, objects = (each.stdout.readline() for each in following)
    for each in following[1:]:
        each.stdout.close()
    send(shared, {"msg": "second", "request_id": "tail-1"})
    more = following[0].stdout.readline()
    following[0].send_signal(signal.SIGINT)
    errors = [each.stderr.read() for each in following]
    codes = [each.wait(10) for each in following]
    following[0].stdout.close()
    for each in following:
        each.stderr.close()

    assert plain.endswith("api first request_id=tail-1\n")
    assert "first" == json.loads(objects)["msg"]
    assert more.endswith("api second request_id=tail-1\n")
    assert [130, 0] == codes
    # Of what other tests have stored it may have been told before.
    assert errors[0].splitlines()[-1].startswith("to go on from here: --from ")
    assert "to go on" not in errors[1]
