"""Who is told hears the same, by JSON, in a chat, and as mail; and every failure has a reason."""

from __future__ import annotations

import asyncio
import datetime as dt
import email
import email.policy
from contextlib import asynccontextmanager

import msgspec
import pytest

from collector import cli
from collector.alerting import messages
from collector.alerting.notifiers import Failed, tell
from collector.alerting.settings import Email, Slack, Webhook
from storage.notifications import Content, Notification, Told
from tests.builders import NOON
from tests.scripted import CUT, Reply, scripted

PAGE = "https://logs.example/"
MINUTE = dt.timedelta(minutes=1)


def told(value="api", state="firing", **labels):
    return Told(
        id="1",
        state=state,
        value=value,
        labels={"service": value, "severity": "warning", "alertname": "many", **labels},
        records=7,
        before=None,
        description="7 records in 1 minute, more than 5",
        started_at=NOON,
        ended_at=NOON + MINUTE if state == "resolved" else None,
    )


def notification(*alerts, query="level>=error"):
    content = Content(
        rule="many",
        annotations={"runbook_url": "https://wiki"},
        query=query,
        by="service",
        start=NOON - MINUTE,
        end=NOON,
        alerts=list(alerts),
    )
    return Notification(
        number=1,
        id="7d5c",
        notifier="ops",
        rule="many",
        content=content,
        attempts=1,
        created_at=NOON,
    )


def test_the_shape_of_alertmanager():
    """
    The JSON has all keys of Alertmanager's webhooks, in its words, and links to the records.
    """
    found = messages.alertmanager(notification(told(), told("b", "resolved")), PAGE)

    assert (
        found.items()
        >= {
            "version": "4",
            "id": "7d5c",
            "groupKey": '{}:{alertname="many"}',
            "truncatedAlerts": 0,
            "status": "firing",
            "receiver": "ops",
            "groupLabels": {"alertname": "many"},
            "commonLabels": {"severity": "warning", "alertname": "many"},
            "externalURL": PAGE,
        }.items()
    )
    assert {"runbook_url": "https://wiki"}.items() <= found["commonAnnotations"].items()
    first, second = found["alerts"]
    assert {
        "status": "firing",
        "labels": {"service": "api", "severity": "warning", "alertname": "many"},
        "annotations": {
            "summary": "many: api",
            "description": "7 records in 1 minute, more than 5",
            "runbook_url": "https://wiki",
        },
        "startsAt": "2025-11-13T12:00:00Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "https://logs.example/?q=level%3E%3Derror+service%3Aapi"
        "&start=2025-11-13T11%3A59%3A00Z&end=2025-11-13T12%3A00%3A00Z",
        "fingerprint": messages.fingerprint(first["labels"]),
        "values": {"records": 7, "before": None},
    } == first
    assert ("resolved", "2025-11-13T12:01:00Z") == (second["status"], second["endsAt"])
    assert first["fingerprint"] != second["fingerprint"]


def test_a_chat_obeys_nothing_and_is_told_of_what_is_left_out():
    """
    Markup in a value is text, and of many alerts the first are shown, with the number of others.
    """
    found = messages.slack(notification(*(told("<!here> & co") for _ in range(23))), "", "#ops")

    assert "[FIRING:23] many\nand 3 more" == found["text"]
    assert "#ops" == found["channel"]
    assert 20 == len(found["attachments"])
    assert "many: &lt;!here&gt; &amp; co" == found["attachments"][0]["title"]
    assert "title_link" not in found["attachments"][0]
    assert "<" not in msgspec.json.encode(found).decode()


async def test_webhooks():
    """
    A webhook gets the JSON with the id as a header; all but a 2xx is a failure with the reason,
    in which no secret is repeated.
    """
    secret = "Bearer s3cret"
    async with scripted() as server:
        hook = Webhook(url=server.url, headers={"Authorization": secret}, timeout=5)
        await tell(hook, notification(told()), PAGE)
        await tell(Slack(url=server.url), notification(told()), PAGE)
        server.rule = lambda _: Reply(429, b"not with s3cret", {"Retry-After": "7"})
        with pytest.raises(Failed, match=r"^HTTP 429: not with \*\*\*$") as caught:
            await tell(hook, notification(told()), PAGE)
        server.rule = lambda _: Reply(302, b"", {"Location": server.url})
        with pytest.raises(Failed, match="HTTP 302"):
            await tell(hook, notification(told()), PAGE)
        server.rule = lambda _: CUT
        with pytest.raises(Failed, match="Disconnected"):
            await tell(hook, notification(told()), PAGE)
        first, second, *_ = server.requests
    with pytest.raises(Failed, match="ClientConnectorError") as away:
        await tell(Slack(url="http://127.0.0.1:1/s3cret"), notification(told()), PAGE)

    assert ("7d5c", secret) == (first.headers["Idempotency-Key"], first.headers["Authorization"])
    assert "many" == msgspec.json.decode(first.body)["groupLabels"]["alertname"]
    assert "[FIRING:1] many" == msgspec.json.decode(second.body)["text"]
    assert 7 == caught.value.retry_after
    assert "s3cret" not in str(away.value)


@asynccontextmanager
async def mail_server(refusal=None):
    """An SMTP server on loopback; gives its port and what it was sent."""
    lines, mails = [], []

    async def serve(reader, writer):
        writer.write(b"220 here\r\n")
        while line := (await reader.readline()).decode(errors="replace").strip().lower():
            lines.append(line)
            if line == "data":
                writer.write(b"354 go on\r\n")
                mails.append(await reader.readuntil(b"\r\n.\r\n"))
            writer.write(b"221 bye\r\n" if line == "quit" else refusal or b"250 ok\r\n")
            if line == "quit":
                break
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], lines, mails


async def test_mail():
    """
    A mail goes to all its addressees, with the notification's id as its own, and says what is.
    """
    async with mail_server() as (port, lines, mails):
        settings = Email(
            host="127.0.0.1", port=port, security="none", sender="a@b.c", to=("d@e.f", "g@h.i")
        )
        await tell(settings, notification(told("ä"), told("b", "resolved")), PAGE)

    found = email.message_from_bytes(mails[0], policy=email.policy.default)
    text = found.get_content()
    assert ["rcpt to:<d@e.f>", "rcpt to:<g@h.i>"] == [line for line in lines if "rcpt" in line]
    assert "[FIRING:1] many" == found["Subject"]
    assert "<7d5c@pixsim-collector>" == found["Message-ID"]
    assert "FIRING many: ä\n7 records in 1 minute, more than 5" in text.replace("\r\n", "\n")
    assert "until 2025-11-13T12:01:00Z" in text


@pytest.mark.parametrize(
    ("refusal", "security", "reason"),
    [
        pytest.param(b"550 no such user\r\n", "none", "550.*no such user", id="refused"),
        pytest.param(None, "starttls", "STARTTLS", id="no TLS there"),
        pytest.param(None, "tls", "SSLError", id="no TLS at all"),
    ],
)
async def test_mail_that_fails(refusal, security, reason):
    """
    A mail that is not taken is a failure; where TLS is wanted nothing goes without it.
    """
    async with mail_server(refusal) as (port, _, mails):
        settings = Email(
            host="127.0.0.1", port=port, security=security, sender="a@b.c", to=("d@e.f",), timeout=5
        )
        with pytest.raises(Failed, match=reason):
            await tell(settings, notification(told()), PAGE)

    assert [] == mails


async def test_a_test_by_hand(tmp_path, capsys):
    """
    The command tells of each notifier whether it takes a message, and fails if any does not.
    """
    config = tmp_path / "config.yaml"
    async with scripted() as server:
        hooks = f"{{good: {{url: '{server.url}'}}, bad: {{url: 'http://127.0.0.1:1'}}}}"
        config.write_text(f"alerts: {{notifiers: {{webhook: {hooks}}}}}")

        async def run(*names):
            arguments = ["alerts", "test", "--config", str(config), *names]
            code = await asyncio.to_thread(cli.main, arguments)
            found = capsys.readouterr()
            return code, found.out, found.err

        good, both, unknown = await run("good"), await run(), await run("else")
        (body, _) = (msgspec.json.decode(each.body) for each in server.requests)

    assert (0, "good: taken\n", "") == good
    assert (2, "pixsim-collector: not taken by bad\n") == (both[0], both[2])
    assert "bad: ClientConnectorError" in both[1]
    assert "no notifier is named else; there are: good, bad" in unknown[2]
    assert ("test", "good") == (body["groupLabels"]["alertname"], body["receiver"])
