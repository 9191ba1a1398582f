"""What notifiers say: the same notification as JSON of Alertmanager's shape, for chats, as mail."""

from __future__ import annotations

import datetime as dt
import hashlib
from email.message import EmailMessage
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from collector.search import Mistake, parse, written
from storage.search import Equals, both

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from storage.notifications import Content, Notification, Told

NO_TIME = "0001-01-01T00:00:00Z"  # how Alertmanager says that there is none
COLOURS = {"firing": "danger", "resolved": "good"}
MOST_SHOWN = 20  # alerts of one message that people read
LONGEST_SUBJECT = 200  # characters


def alertmanager(notification: Notification, external_url: str) -> dict[str, Any]:
    """
    Give what receivers of Alertmanager's webhooks understand, version 4.

    ``id`` is ours: the same for the same notification, however often it comes.
    """
    content = notification.content
    shapes = [_alert(content, told, external_url) for told in content.alerts]
    return {
        "version": "4",
        "id": notification.id,
        "groupKey": f'{{}}:{{alertname="{content.rule}"}}',
        "truncatedAlerts": 0,
        "status": status(content),
        "receiver": notification.notifier,
        "groupLabels": {"alertname": content.rule},
        "commonLabels": _common([shape["labels"] for shape in shapes]),
        "commonAnnotations": _common([shape["annotations"] for shape in shapes]),
        "externalURL": external_url,
        "alerts": shapes,
    }


def slack(notification: Notification, external_url: str, channel: str) -> dict[str, Any]:
    """Give what Slack's incoming webhooks take, and chats that read their format."""
    content = notification.content
    message = {
        "text": _escaped("\n".join([headline(content), *_more(content)])),
        "attachments": [
            {
                "color": COLOURS[told.state],
                "title": _escaped(_title(content, told)),
                **({"title_link": where} if (where := link(content, told, external_url)) else {}),
                "fallback": _escaped(f"{_title(content, told)}: {told.description}"),
                "text": _escaped(told.description),
                "fields": [
                    {"title": name, "value": _escaped(value), "short": True}
                    for name, value in told.labels.items()
                    if name != "alertname"
                ],
                "ts": int((told.ended_at or told.started_at).timestamp()),
            }
            for told in content.alerts[:MOST_SHOWN]
        ],
    }
    return message | ({"channel": channel} if channel else {})


def mail(
    notification: Notification, external_url: str, sender: str, to: Sequence[str]
) -> EmailMessage:
    """Give the mail; its Message-ID is the notification's."""
    content = notification.content
    message = EmailMessage()
    message["Subject"] = headline(content)[:LONGEST_SUBJECT]
    message["From"] = sender
    message["To"] = ", ".join(to)
    message["Date"] = format_datetime(notification.created_at)
    message["Message-ID"] = f"<{notification.id}@pixsim-collector>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content("\n\n".join(_paragraphs(content, external_url)) + "\n")
    return message


def headline(content: Content) -> str:
    """Give the one line that a notification is called by."""
    firing = sum(told.state == "firing" for told in content.alerts)
    number = firing or len(content.alerts)
    return f"[{status(content).upper()}:{number}] {content.rule}"


def status(content: Content) -> str:
    """Give ``firing`` if any of the alerts does, else ``resolved``."""
    return "firing" if any(told.state == "firing" for told in content.alerts) else "resolved"


def link(content: Content, told: Told, external_url: str) -> str:
    """Give the address of the page that shows the records, or nothing where none is known."""
    if not external_url:
        return ""
    try:
        search = parse(content.query)
    except Mistake:  # written by another version
        search = None
    given = {"start": _time(content.start), "end": _time(content.end)}
    if search is not None:
        of = [Equals(content.by, (told.value,))] if content.by and told.value else []
        given = {"q": written(both(search, *of)), **given}
    return f"{external_url.rstrip('/')}/?{urlencode(given)}"


def _alert(content: Content, told: Told, external_url: str) -> dict[str, Any]:
    return {
        "status": told.state,
        "labels": told.labels,
        "annotations": {
            "summary": _title(content, told),
            "description": told.description,
            **content.annotations,
        },
        "startsAt": _time(told.started_at),
        "endsAt": _time(told.ended_at) if told.ended_at else NO_TIME,
        "generatorURL": link(content, told, external_url),
        "fingerprint": fingerprint(told.labels),
        "values": {"records": told.records, "before": told.before},
    }


def fingerprint(labels: Mapping[str, str]) -> str:
    """Give 16 hex digits that are the same for the same labels."""
    text = "\0".join(f"{name}\0{value}" for name, value in sorted(labels.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _paragraphs(content: Content, external_url: str) -> list[str]:
    paragraphs = []
    for told in content.alerts[:MOST_SHOWN]:
        lines = [f"{told.state.upper()} {_title(content, told)}", told.description]
        lines += [f"{name}: {value}" for name, value in sorted(told.labels.items())]
        lines.append(f"since {_time(told.started_at)}")
        if told.ended_at:
            lines.append(f"until {_time(told.ended_at)}")
        if where := link(content, told, external_url):
            lines.append(where)
        paragraphs.append("\n".join(lines))
    paragraphs += [f"{name}: {value}" for name, value in content.annotations.items()]
    return paragraphs + _more(content)


def _more(content: Content) -> list[str]:
    """Say how many alerts a message has left out."""
    more = len(content.alerts) - MOST_SHOWN
    return [f"and {more} more"] if more > 0 else []


def _title(content: Content, told: Told) -> str:
    return f"{content.rule}: {told.value}" if told.value else content.rule


def _common(shapes: Sequence[Mapping[str, str]]) -> dict[str, str]:
    first = shapes[0] if shapes else {}
    return {k: v for k, v in first.items() if all(shape.get(k) == v for shape in shapes)}


def _escaped(text: str) -> str:
    """Write text so that Slack takes none of it for a command."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _time(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
