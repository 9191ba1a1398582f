"""The settings of alerts: rules, and who is told."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec

from collector import search, secrets
from collector.forwarding.settings import Tls
from collector.secrets import HIDDEN, Secret
from collector.sections import Seconds, Section
from storage import alerts, conditions
from storage.lifecycle import Terms

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_GROUPS = 1_000
DAY = 86_400.0
LONGEST_INTERVAL = 1_800.0  # seconds; a rule that nobody evaluates for an hour is forgotten
Some = Annotated[int, msgspec.Meta(ge=1)]
Days = Annotated[int, msgspec.Meta(ge=1, le=3_650, description="days")]
Wait = Annotated[float, msgspec.Meta(ge=0, description="seconds")]
Name = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[^\x00-\x1f\x7f]{1,200}$", description="a name of at most 200 characters"
    ),
]
UrlOrEmpty = Annotated[
    str, msgspec.Meta(pattern=r"^(https?://[^\s/]+\S*)?$", description="http://… URL or nothing")
]


def _without_path(url: str) -> str:
    """Give what is shown of a URL that is a secret, as those of chats are."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}/{HIDDEN}"


SecretUrl = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^https?://[^\s/]+\S*$",
        description="http://… URL",
        extra={"shown": _without_path},
    ),
]


class Limits(Section, frozen=True, kw_only=True):
    """More than *above*, or fewer than *below*; at least one is given."""

    above: Wait | None = None
    below: Wait | None = None

    def __post_init__(self) -> None:
        """Check what no type says."""
        if self.above is None and self.below is None:
            raise ValueError("expected above, below, or both")


class Count(Limits, frozen=True, kw_only=True):
    """How many records there are in the window; `below: 1` is that there are none."""

    known: Seconds = DAY  # before the window, in which a group was that now is missed


class Compare(Limits, frozen=True, kw_only=True):
    """How many times as many there are as in the same time before."""

    to: Literal["yesterday", "last_week"] = "yesterday"
    least: Some = 10  # records of the larger number


class New(Section, frozen=True, kw_only=True):
    """A value that was not there for so many days."""

    field: str = "error_type"
    days: Days = 14


class Rule(Section, frozen=True, kw_only=True):
    """One condition over the records of a search; exactly one of count, compare and new."""

    name: Name
    search: str = ""  # in the language of docs/search.md; empty is every record
    count: Count | None = None
    compare: Compare | None = None
    new: New | None = None
    window: Seconds = 300.0
    by: str = ""  # a field: each of its values is an alert of its own
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_GROUPS)] = 100  # alerts of a rule
    hold: Wait = msgspec.field(default=0.0, name="for")  # that it is met before it fires
    interval: Annotated[float, msgspec.Meta(gt=0, le=LONGEST_INTERVAL, description="seconds")] = (
        60.0
    )
    severity: Name = "warning"
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    annotations: dict[str, str] = msgspec.field(default_factory=dict)
    notify: tuple[str, ...] = ()  # names of notifiers; left out, all of them

    def __post_init__(self) -> None:
        """Check what no type says."""
        if problems := list(self._problems()):
            raise ValueError("; ".join(problems))

    def _problems(self) -> Iterator[str]:
        given = [each for each in ("count", "compare", "new") if getattr(self, each) is not None]
        if len(given) != 1:
            yield f"expected one of count, compare and new, found {' and '.join(given) or 'none'}"
        if self.new is not None and self.by:
            yield "by: new has groups of its own, by its field"
        fields = [("by", self.by), ("new.field", self.new.field if self.new else "")]
        asked = [(key, f"{name}:*") for key, name in fields if name]
        for key, text in (("search", self.search), *asked):
            try:
                search.parse(text)
            except search.Mistake as exc:
                yield f"{key}: {exc}"

    @property
    def condition(self) -> conditions.Condition:
        """The condition as the storage has it."""
        if self.count is not None:
            return conditions.Count(
                above=self.count.above, below=self.count.below, known=_span(self.count.known)
            )
        if self.compare is not None:
            return conditions.Compare(
                ago=dt.timedelta(days=1 if self.compare.to == "yesterday" else 7),
                above=self.compare.above,
                below=self.compare.below,
                least=self.compare.least,
            )
        assert self.new is not None  # noqa: S101  one of them is given
        return conditions.New(quiet=dt.timedelta(days=self.new.days))


class Webhook(Section, frozen=True, kw_only=True):
    """Who gets JSON as Alertmanager's webhooks do."""

    url: SecretUrl
    headers: dict[str, Secret] = msgspec.field(default_factory=dict)
    timeout: Seconds = 10.0
    tls: Tls = Tls()

    __repr__ = secrets.represent


class Slack(Section, frozen=True, kw_only=True):
    """An incoming webhook of Slack, or of a chat that takes its format."""

    url: SecretUrl
    channel: str = ""  # the webhook's own
    timeout: Seconds = 10.0
    tls: Tls = Tls()

    __repr__ = secrets.represent


class Email(Section, frozen=True, kw_only=True):
    """A mail by SMTP."""

    host: str
    port: Annotated[int, msgspec.Meta(ge=1, le=65_535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str = ""
    password: Secret = ""
    sender: Name
    to: tuple[Name, ...]
    timeout: Seconds = 10.0
    tls: Tls = Tls()

    __repr__ = secrets.represent

    def __post_init__(self) -> None:
        """Check what no type says."""
        if not self.to:
            raise ValueError("to: expected at least one address")
        if self.password and self.security == "none":
            raise ValueError("security: expected starttls or tls, for a password is sent")


Notifier: TypeAlias = Webhook | Slack | Email


class Notifiers(Section, frozen=True, kw_only=True):
    """Who can be told, by names of their own."""

    webhook: dict[str, Webhook] = msgspec.field(default_factory=dict)
    slack: dict[str, Slack] = msgspec.field(default_factory=dict)
    email: dict[str, Email] = msgspec.field(default_factory=dict)

    @property
    def named(self) -> dict[str, Notifier]:
        """All of them, by name."""
        return {**self.webhook, **self.slack, **self.email}


class Alerts(Section, frozen=True, kw_only=True):
    """Rules that are evaluated again and again, and those who are told."""

    delay: Wait = 30.0  # a window ends so long ago, for records that come late
    query_timeout: Seconds = 10.0  # of one evaluation
    repeat: Wait = 14_400.0  # until it is told again that an alert fires; 0 is never
    give_up_after: Seconds = DAY  # that a notification is tried
    history: Days = 90  # that is kept
    external_url: UrlOrEmpty = ""  # where people find the page; links lead there
    notifiers: Notifiers = Notifiers()
    rules: tuple[Rule, ...] = ()

    def __post_init__(self) -> None:
        """Check what no type says."""
        if problems := list(self._problems()):
            raise ValueError("; ".join(problems))

    def _problems(self) -> Iterator[str]:
        kinds = (self.notifiers.webhook, self.notifiers.slack, self.notifiers.email)
        names = [name for kind in kinds for name in kind]
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield f"notifiers: {name!r} is there twice"
        rules = [rule.name for rule in self.rules]
        for name in sorted({name for name in rules if rules.count(name) > 1}):
            yield f"rules: {name!r} is there twice"
        for rule in self.rules:
            for name in rule.notify:
                if name not in names:
                    known = f", expected one of: {', '.join(names)}" if names else ""
                    yield f"rules: {rule.name!r} notifies {name!r}, which is no notifier{known}"

    @property
    def stored(self) -> list[alerts.Rule]:
        """The rules as the storage has them."""
        return [self._stored(rule) for rule in self.rules]

    def _stored(self, rule: Rule) -> alerts.Rule:
        return alerts.Rule(
            name=rule.name,
            text=rule.search,
            question=conditions.Question(
                search=search.parse(rule.search),
                condition=rule.condition,
                window=_span(rule.window),
                by=rule.new.field if rule.new else rule.by or None,
                most=rule.limit,
            ),
            terms=Terms(
                hold=_span(rule.hold),
                repeat=_span(self.repeat),
                notifiers=rule.notify or tuple(self.notifiers.named),
            ),
            interval=_span(rule.interval),
            delay=_span(self.delay),
            labels={"severity": rule.severity, **rule.labels},
            annotations=rule.annotations,
        )


def _span(seconds: float) -> dt.timedelta:
    return dt.timedelta(seconds=seconds)
