"""Telling somebody: by HTTP or by SMTP, once; who calls tries again."""

from __future__ import annotations

import asyncio
import smtplib
from typing import TYPE_CHECKING, Any

import aiohttp

from collector.alerting import messages
from collector.alerting.settings import Email, Slack, Webhook
from collector.forwarding import http
from collector.secrets import HIDDEN

if TYPE_CHECKING:
    from collector.alerting.settings import Notifier
    from storage.notifications import Notification

MOST_ANSWER = 4_096  # bytes of an answer that are read


class Failed(Exception):
    """It was not taken; *retry_after* are the seconds that they ask for, if they do."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


async def tell(notifier: Notifier, notification: Notification, external_url: str) -> None:
    """
    Have *notifier* tell of *notification*.

    Raises:
        Failed: it was not taken, or nobody knows.
    """
    try:
        match notifier:
            case Webhook():
                body = messages.alertmanager(notification, external_url)
                headers = {"Idempotency-Key": notification.id, **notifier.headers}
                await _post(notifier, body, headers)
            case Slack():
                await _post(
                    notifier, messages.slack(notification, external_url, notifier.channel), {}
                )
            case Email():
                mail = messages.mail(notification, external_url, notifier.sender, notifier.to)
                await asyncio.to_thread(_send, notifier, mail)
    except (aiohttp.ClientError, smtplib.SMTPException, TimeoutError, OSError, ValueError) as exc:
        raise Failed(_reason(exc)) from exc
    except Failed as exc:
        raise Failed(_discreet(str(exc), notifier), exc.retry_after) from exc


async def _post(to: Webhook | Slack, body: dict[str, Any], headers: dict[str, str]) -> None:
    secure = to.url.startswith("https:")
    async with (
        aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=to.timeout),
            connector=aiohttp.TCPConnector(ssl=http.context(to.tls) if secure else True),
        ) as session,
        session.post(
            to.url,
            json=body,
            headers={"User-Agent": http.USER_AGENT, **headers},
            allow_redirects=False,  # they would take the token along
            server_hostname=to.tls.server_name_override or None,
        ) as answer,
    ):
        content = await answer.content.read(MOST_ANSWER)
        if not 200 <= answer.status < 300:
            raise Failed(http.told(answer.status, content), http.retry_after(answer.headers))


def _send(to: Email, mail: Any) -> None:
    context = http.context(to.tls)
    connection: smtplib.SMTP
    if to.security == "tls":
        connection = smtplib.SMTP_SSL(to.host, to.port, timeout=to.timeout, context=context)
    else:
        connection = smtplib.SMTP(to.host, to.port, timeout=to.timeout)
    with connection:
        if to.security == "starttls":
            connection.starttls(context=context)
        if to.user:
            connection.login(to.user, to.password)
        connection.send_message(mail)


def _discreet(reason: str, notifier: Notifier) -> str:
    """Give *reason* without what the receiver has repeated of our secrets."""
    texts = [notifier.password] if isinstance(notifier, Email) else [notifier.url]
    if isinstance(notifier, Webhook):
        texts += [
            part for value in notifier.headers.values() for part in (value, value.split()[-1])
        ]
    for text in filter(None, texts):
        reason = reason.replace(text, HIDDEN)
    return reason


def _reason(exc: BaseException) -> str:
    """Give what went wrong, without the address, which may be a secret."""
    match exc:
        case aiohttp.ClientConnectorError():
            return f"{type(exc).__name__}: {exc.os_error.strerror or 'no connection'}"
        case aiohttp.InvalidURL():
            return "the URL is none"
        case _:
            text = str(exc)[: http.LONGEST_REASON]
            return f"{type(exc).__name__}: {text}" if text else type(exc).__name__
