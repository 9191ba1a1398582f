"""
What real servers make of what is sent to them, field by field.

A server runs where an environment variable has the path of its program.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from collector.exporters import loki, victorialogs
from collector.forwarding.http import Body
from storage.moments import moment
from tests.ports import free_port
from tests.targets.records import encoded, native, otlp, stored

LOKI = """
auth_enabled: false
analytics: {{reporting_enabled: false}}
server: {{http_listen_address: 127.0.0.1, http_listen_port: {port}, grpc_listen_port: 0}}
common:
  path_prefix: {folder}
  replication_factor: 1
  ring: {{instance_addr: 127.0.0.1, kvstore: {{store: inmemory}}}}
schema_config:
  configs:
    - {{from: 2024-01-01, store: tsdb, object_store: filesystem, schema: v13,
        index: {{prefix: index_, period: 24h}}}}
storage_config: {{filesystem: {{directory: {folder}/chunks}}}}
frontend: {{address: 127.0.0.1}}
limits_config: {{max_entries_limit_per_query: 100000}}
"""


@asynccontextmanager
async def running(variable, ready, *arguments):
    """Run the program that *variable* names inside the block; gives its URL."""
    if (program := os.environ.get(variable)) is None:
        pytest.skip(reason=f"{variable} does not name a program")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(  # noqa: ASYNC220
        [program, *(argument.format(port=port) for argument in arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        async with aiohttp.ClientSession() as session:
            async with asyncio.timeout(90):
                while True:
                    with suppress(aiohttp.ClientError):
                        async with session.get(url + ready) as answer:
                            if answer.status == 200:
                                break
                    await asyncio.sleep(0.2)
            yield url, session
    finally:
        process.terminate()
        process.wait(20)


def every_kind(count=2_000):
    """Make *count* records of the last hour: of each kind, with any characters, some alike."""
    chosen = random.Random(7)
    start = datetime.now(UTC) - timedelta(minutes=50)
    made = []
    for number in range(count):
        match number % 4:
            case 0:
                record = native()
            case 1:
                record = otlp()
            case 2:
                text = "".join(map(chr, chosen.sample(range(1, 0xD000), 20)))
                name = "".join(map(chr, chosen.sample(range(33, 0x2000), 8)))
                record = stored(msg=text, extra={name: text, "a.b": [text], "n": 2**62 + number})
            case _:
                record = stored(msg=None, service='wörker "1"', env=None, extra={"k": None})
        record.record.id = number + 1
        # Every ten of them at the same moment.
        record.record.timestamp = moment(start + timedelta(milliseconds=100 * (number // 10)))
        made.append(record)
    return made


def largest(**names_and_sizes):
    """Make records that are just as large as a destination takes."""
    made = []
    for number, (name, size) in enumerate(names_and_sizes.items(), 1):
        fields = {
            "text": {"msg": "x" * size},
            "attributes": {"extra": {f"n{n}": "a" for n in range(size)}},
            "name": {"extra": {"n" * size: "a"}},
            "bytes": {"extra": {"a": "x" * size}},
        }[name]
        made.append(stored(id=10_000 + number, timestamp=datetime.now(UTC), **fields))
    return made


async def send(module, config, encode, records):
    """Send *records* in batches, twice, as when an answer was lost."""
    target = module.target(config)
    for start in [*range(0, len(records), 700), 0]:
        answer = await target.send(records[start : start + 700])
        assert () == answer.refused
    await target.close()
    body = encoded(encode, *records)
    assert isinstance(body, Body)
    return body.data


def shown(value):
    return (
        value
        if isinstance(value, str)
        else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    )


async def test_victorialogs(tmp_path):
    """
    VictoriaLogs has every record, with every field as it was sent.
    """
    arguments = ("-httpListenAddr=127.0.0.1:{port}", f"-storageDataPath={tmp_path}")
    async with running("PIXSIM_TEST_VICTORIALOGS", "/health", *arguments) as (url, session):
        config = victorialogs.VictoriaLogs(endpoint=url)
        uid = len("10001-") + 19 + len("-00000000")
        line = '{"_time":"","_msg":"","level":"INFO","severity":"info","severity_number":9,'
        line += '"service":"api","env":"dev","log.record.uid":""}'
        rest = victorialogs.MOST_BYTES_OF_LINE - len(line) - uid - 30
        records = every_kind() + largest(text=rest, attributes=1_000 - 8, name=128)
        data = await send(victorialogs, config, victorialogs.Encoder(config), records)
        sent = {}
        for line in data.splitlines():
            fields = json.loads(line)
            sent[fields["log.record.uid"]] = {k: shown(v) for k, v in fields.items()}

        async with asyncio.timeout(30):
            while True:
                query = {"query": "*", "limit": "10000"}
                async with session.post(url + "/select/logsql/query", data=query) as answer:
                    found = [json.loads(line) for line in (await answer.text()).split("\n") if line]
                if len(found) >= len(records) + 700:  # it has what was sent twice twice
                    break
                await asyncio.sleep(0.2)

    for fields in found:
        del fields["_stream"], fields["_stream_id"]
    got = {fields["log.record.uid"]: fields for fields in found}
    assert len(records) + 700 == len(found)
    trimmed = {uid: {**f, "_time": rfc(f["_time"])} for uid, f in sent.items()}
    assert trimmed == got


def rfc(text):
    """Give a time without the zeros at its end."""
    return text[:-1].rstrip("0").rstrip(".") + "Z"


async def test_loki(tmp_path):
    """
    Loki has every record once, however often it was sent, with all its labels and metadata.
    """
    folder = tmp_path / "loki"
    file = tmp_path / "loki.yaml"
    port = free_port()
    file.write_text(LOKI.format(port=port, folder=folder))
    arguments = (f"-config.file={file}", "-server.http-listen-port={port}", "-target=all")
    async with running("PIXSIM_TEST_LOKI", "/ready", *arguments) as (url, session):
        config = loki.Loki(endpoint=url)
        rest = loki.MOST_BYTES_OF_METADATA - len(
            "severity_textINFOseverity_number9log_record_uid10003-" + 19 * "0" + "-00000000a"
        )
        records = every_kind() + largest(text=256 * 1024, attributes=128 - 3, bytes=rest)
        data = await send(loki, config, loki.Encoder(config), records)
        sent = {}
        for stream in json.loads(data)["streams"]:
            for moment, line, metadata in stream["values"]:
                everything = {**stream["stream"], **metadata}
                sent[metadata["log_record_uid"]] = (moment, line, everything)

        query = {
            "query": '{service_name=~".+"}',
            "limit": "20000",
            "start": str(min(int(moment) for moment, _, _ in sent.values())),
            "direction": "forward",
        }
        async with session.get(url + "/loki/api/v1/query_range", params=query) as answer:
            found = json.loads(await answer.text())["data"]["result"]

    got = {}
    for stream in found:
        labels = {k: v for k, v in stream["stream"].items() if k != "detected_level"}
        for moment, line in stream["values"]:
            assert labels["log_record_uid"] not in got
            got[labels["log_record_uid"]] = (moment, line, labels)
    assert sent == got
