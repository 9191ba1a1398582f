"""Records as files: whole, durable, and no more of them than there may be."""

from __future__ import annotations

import asyncio
import errno
import gzip
import os
import signal
import subprocess
import sys
import textwrap
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import yaml
from pyarrow import parquet

from collector.exporters import file
from collector.exporters.file import File
from collector.exporters.file.entries import entry
from collector.exporters.file.finishing import finish, zstd
from collector.exporters.file.journal import Journal
from collector.forwarding.settings import Forwarder
from collector.forwarding.target import Done, Retry, Stop
from storage.moments import moment
from tests.builders import NOON, record
from tests.unit.collector.otlp_messages import stored

ROOT = next(path for path in Path(__file__).parents if (path / "config.yaml").is_file())
OPENERS = {".jsonl": open, ".gz": gzip.open, ".zst": zstd.open}


def some(*ids, **fields):
    return [stored(record(id=each, **fields), received=moment(NOON)) for each in ids]


@asynccontextmanager
async def writing(folder, **settings):
    target = file.target(msgspec.convert({"folder": str(folder), **settings}, File))
    try:
        yield target
    finally:
        await target.close()


def lines(path):
    assert path.suffix in {*OPENERS, ".partial"}
    with OPENERS[path.suffix if path.suffix in OPENERS else ".jsonl"](path, "rb") as opened:
        return [msgspec.json.decode(line) for line in opened.read().splitlines()]


def ids(path):
    if path.suffix == ".parquet":
        return parquet.read_table(path)["id"].to_pylist()
    return [each["id"] for each in lines(path)]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("settings", "suffix"),
    [
        pytest.param({"compression": "none"}, "jsonl", id="plain"),
        pytest.param({}, "jsonl.gz", id="gzip"),
        pytest.param({"compression": "zstd"}, "jsonl.zst", id="zstd"),
        pytest.param({"format": "parquet"}, "parquet", id="Parquet"),
    ],
)
async def test_formats(tmp_path, settings, suffix):
    """
    What was acknowledged can be read at once, and stands in a file of the format in the end.
    """
    folder = tmp_path / "new" / "folder"
    async with writing(folder, **settings) as target:
        assert Done() == await target.send(some(7, 8, msg="a\nb\u2028"))
        (journal,) = folder.iterdir()
        assert ("20251113T120000Z-7.jsonl.partial", [7, 8]) == (journal.name, ids(journal))
        assert Done() == await target.send(some(5))

    (path,) = folder.iterdir()
    assert f"20251113T120000Z-7-5.{suffix}" == path.name
    assert [7, 8, 5] == ids(path)
    assert 0o640 & ~os.umask(os.umask(0o022)) == path.stat().st_mode & 0o777


async def test_a_line_is_what_exports_have(tmp_path):
    """
    A line is a record as an export has it.
    """
    (sent,) = some(1, extra={"a": [1.5]}, flags=257, generation_id=3, timestamp_ns=9)
    async with writing(tmp_path) as target:
        await target.send([sent])

    (line,) = lines(next(tmp_path.iterdir()))
    assert msgspec.json.decode(msgspec.json.encode(entry(sent))) == line
    assert ("01", 3, "1763035200000000009") == (
        line["trace_flags"],
        line["artifact_id"],
        line["timestamp_unix_nano"],
    )


async def test_rotation_by_size(tmp_path):
    """
    A batch that would make a file larger than it may be begins the next one.
    """
    size = len(msgspec.json.encode(entry(some(1)[0]))) + 1
    rotation = {"max_bytes": 2 * size}
    async with writing(tmp_path, compression="none", rotation=rotation) as target:
        for each in (1, 2, 3, 4, 5):
            await target.send(some(each))

    assert [[1, 2], [3, 4], [5]] == [ids(tmp_path / name) for name in names(tmp_path)]


async def test_rotation_by_age(tmp_path):
    """
    A file that is old enough is finished even if nothing more comes, and so is the next one.
    """
    async with writing(tmp_path, rotation={"max_age": 0.05}) as target, asyncio.timeout(30):
        finished = []
        for each in (1, 2):
            await target.send(some(each))
            finished.append(f"20251113T120000Z-{each}-{each}.jsonl.gz")
            while finished != names(tmp_path):  # noqa: ASYNC110  a file tells nobody
                await asyncio.sleep(0.01)


TORN = [
    pytest.param(b"", id="nothing"),
    pytest.param(b'{"id":3,"timest', id="half a line"),
    pytest.param(b"\0" * 100, id="zeros"),
    pytest.param(b"\0" * 100 + b'"}\n{"id":4', id="a hole before the end of a line"),
]


@pytest.mark.parametrize("torn", TORN)
@pytest.mark.parametrize("form", ["jsonl", "parquet"])
async def test_what_a_crash_leaves(tmp_path, torn, form):
    """
    After a crash a file is cut behind its last whole record and finished; nothing whole is lost.
    """
    whole = b"".join(msgspec.json.encode(entry(each)) + b"\n" for each in some(1, 2))
    (tmp_path / "20251113T120000Z-1.jsonl.partial").write_bytes(whole + torn)
    (tmp_path / f"20251113T120000Z-1.{form}.gz.partial").write_bytes(b"half a file")
    (tmp_path / "20251113T120001Z-9.jsonl.partial").write_bytes(torn)
    (tmp_path / "somebody's").write_bytes(b"own")
    async with writing(tmp_path, format=form) as target:
        await target.send(some(5))

    left = [name for name in names(tmp_path) if not name.endswith(".gz.partial")]
    assert ["1-2", "5-5"] == [name.split("Z-")[1].split(".")[0] for name in left[:-1]]
    assert [[1, 2], [5]] == [ids(tmp_path / name) for name in left[:-1]]


def test_killed(tmp_path):
    """
    What was acknowledged before a kill -9 is there after the next start, whole.
    """
    script = textwrap.dedent(
        """
        import asyncio, sys
        from itertools import count
        sys.path.insert(0, sys.argv[2])
        from collector.exporters import file
        from tests.unit.collector.exporters.test_file import some

        async def main():
            target = file.target(file.File(folder=sys.argv[1]))
            for number in count(0, 2):
                await target.send(some(number, number + 1, msg="x" * 1000))
                print(number, flush=True)

        asyncio.run(main())
        """
    )
    command = [sys.executable, "-c", script, str(tmp_path), str(ROOT)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        acknowledged = [int(process.stdout.readline()) for _ in range(20)]
        process.send_signal(signal.SIGKILL)
        acknowledged += map(int, process.stdout.read().split())

    async def start():
        async with writing(tmp_path) as target:
            await target.send(some(1_000_000))

    asyncio.run(start())
    found = {each for name in names(tmp_path) for each in ids(tmp_path / name)}
    assert {each + more for each in acknowledged for more in (0, 1)} <= found
    assert not [name for name in names(tmp_path) if name.endswith(".partial")]


async def test_a_file_that_another_process_writes(tmp_path):
    """
    A file that somebody else has under construction is left alone.
    """
    other = Journal(tmp_path / "20251113T120000Z-1.jsonl.partial")
    other.append(b"{")
    async with writing(tmp_path) as target:
        await target.send(some(5))
        assert isinstance(await target.send(some(6)), Done)
    other.close()

    assert "20251113T120000Z-1.jsonl.partial" in names(tmp_path)
    assert b"{" == other.path.read_bytes()


async def test_what_another_process_leaves_meanwhile(tmp_path):
    """
    What a process that took over for a while has left is finished with the next file at the latest.
    """
    async with writing(tmp_path, compression="none", rotation={"max_bytes": 1}) as target:
        await target.send(some(1))
        left = tmp_path / "20251113T120000Z-2.jsonl.partial"
        left.write_bytes(msgspec.json.encode(entry(some(2)[0])) + b"\n{")
        assert Done() == await target.send(some(2))

    assert [[1], [2], [2]] == [ids(path) for path in sorted(tmp_path.iterdir())]


async def test_a_file_that_cannot_be_begun(tmp_path, monkeypatch):
    """
    A file that could not be begun leaves nothing that the next one stumbles over.
    """
    real, failed = os.fsync, []

    def fails(descriptor):
        if not failed:
            failed.append(True)
            raise OSError(errno.EIO, "broken")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fails)
    async with writing(tmp_path, compression="none") as target:
        assert isinstance(await target.send(some(1)), Retry)
        assert [] == names(tmp_path)
        assert Done() == await target.send(some(1))

    assert [[1]] == [ids(path) for path in tmp_path.iterdir()]


async def test_no_file_is_written_over(tmp_path):
    """
    The same records may be written again, beside those that are there.
    """
    for _ in range(3):
        async with writing(tmp_path, compression="none") as target:
            await target.send(some(1))

    stem = "20251113T120000Z-1-1"
    assert [f"{stem}.2.jsonl", f"{stem}.3.jsonl", f"{stem}.jsonl"] == names(tmp_path)


@pytest.mark.parametrize("failing", ["write", "fsync"])
async def test_a_disk_that_fails(tmp_path, monkeypatch, failing):
    """
    A batch of which not all is on disk leaves nothing, and is to be sent again.
    """
    real = {"write": os.write, "fsync": os.fsync}[failing]

    def fails(descriptor, *data):
        if not failed and tmp_path.glob("*.partial"):
            failed.append(True)
            for part in data:
                real(descriptor, part[:5])
            raise OSError(errno.ENOSPC, "no space left")
        return real(descriptor, *data)

    async with writing(tmp_path, compression="none") as target:
        await target.send(some(1))
        failed = []
        monkeypatch.setattr(os, failing, fails)
        answer = await target.send(some(2))
        assert isinstance(answer, Retry)
        assert "no space left" in answer.reason
        await target.send(some(2))

    (path,) = tmp_path.iterdir()
    assert [1, 2] == ids(path)


async def test_a_folder_that_cannot_be(tmp_path):
    """
    Where no folder can be made, somebody has to mend that.
    """
    (tmp_path / "file").write_bytes(b"")
    async with writing(tmp_path / "file" / "folder") as target:
        assert isinstance(await target.send(some(1)), Stop)


@pytest.mark.parametrize("keep", [{"max_files": 3}, {"max_bytes": 1_900}])
@pytest.mark.parametrize("when_full", ["stop", "delete_oldest"])
async def test_no_more_than_may_be(tmp_path, keep, when_full):
    """
    A folder that has all it may have takes nothing, or loses its oldest files if told so.
    """
    settings = {"compression": "none", "rotation": {"max_bytes": 1}}
    (tmp_path / "somebody's own").write_bytes(b"x" * 10_000)
    answers = []
    async with writing(tmp_path, **settings, keep={**keep, "when_full": when_full}) as target:
        for each in range(1, 6):
            answers.append(await target.send(some(each)))  # noqa: PERF401  it awaits

    found = [each for name in names(tmp_path)[:-1] for each in ids(tmp_path / name)]
    assert "somebody's own" in names(tmp_path)
    if when_full == "stop":
        assert [1, 2, 3] == found[:3]
        assert [Done] * 3 + [Stop] * 2 == [type(each) for each in answers]
        assert "keep allows" in answers[-1].reason
    else:
        assert [3, 4, 5] == found
        assert [Done()] * 5 == answers


async def test_a_record_that_is_no_json(tmp_path):
    """
    A record that cannot be written is refused alone.
    """
    sent = some(1, 2)
    for _ in range(3_000):
        sent[0].record.extra = {"a": sent[0].record.extra}
    async with writing(tmp_path) as target:
        answer = await target.send(sent)

    assert [0] == [each.index for each in answer.refused]
    assert [2] == ids(next(tmp_path.iterdir()))


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        pytest.param({}, "folder", id="no folder"),
        pytest.param({"folder": ""}, "folder: expected", id="an empty name"),
        pytest.param({"folder": "x", "keep": {"max_files": 1}}, "max_files", id="one file"),
        pytest.param({"folder": "x", "format": "csv"}, "format", id="an unknown format"),
    ],
)
def test_settings(given, problem):
    """
    What is wrong with the settings is told when they are read.
    """
    with pytest.raises(msgspec.ValidationError, match=problem):
        msgspec.convert(given, File)


def test_config_yaml():
    """
    config.yaml shows what there is to set, at its default.
    """
    block = (ROOT / "config.yaml").read_text().partition("  # file:\n")[2].partition("  # loki:")[0]
    shown = yaml.safe_load("\n".join(line.removeprefix("  # ") for line in block.splitlines()))
    config = msgspec.to_builtins(File(folder=shown["folder"]))

    assert shown == {name: config[name] for name in shown}
    assert set(File.__struct_fields__) - set(Forwarder.__struct_fields__) <= shown.keys()


def test_an_empty_file_is_none(tmp_path):
    """
    A file without records is not kept.
    """
    path = tmp_path / "20251113T120000Z-1.jsonl.partial"
    path.write_bytes(b"")
    finish(path, "jsonl", "gzip")

    assert [] == names(tmp_path)
