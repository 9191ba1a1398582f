"""The parameters and answers of what is asked about alerts, and said about them."""

from __future__ import annotations

import datetime as dt  # noqa: TC003  msgspec reads the annotations
from typing import Annotated, Literal

import msgspec

from collector.api.parameters import Integer, Time  # noqa: TC001  the same
from collector.search.times import PATTERN
from storage.alert_history import Occurrence  # noqa: TC001  msgspec reads the annotations
from storage.notifications import Backlog  # noqa: TC001  the same
from storage.silences import Silence  # noqa: TC001  the same

MATCHER = r"^[^=\x00-\x1f\x7f]{1,200}=[^\x00-\x1f\x7f]{0,1000}$"
MOST_MATCHERS, LONGEST_COMMENT, LONGEST_AUTHOR = 20, 1_000, 200


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One that is pending or fires."""

    id: str
    value: Annotated[str, msgspec.Meta(description="of the rule's field; empty without one")]
    state: Literal["pending", "firing"]
    silenced: bool
    active_at: Annotated[dt.datetime, msgspec.Meta(description="met since then")]
    fired_at: dt.datetime | None
    notified_at: dt.datetime | None
    records: int
    before: Annotated[int | None, msgspec.Meta(description="what they are compared with")]
    description: str
    labels: dict[str, str]


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """A rule, how its last evaluation went, and its alerts."""

    name: str
    configured: Annotated[bool, msgspec.Meta(description="in the configuration of who answers")]
    evaluated_at: dt.datetime | None
    error: Annotated[str | None, msgspec.Meta(description="why it could not be evaluated")]
    left_out: Annotated[int, msgspec.Meta(description="groups beyond the rule's limit")]
    alerts: list[Alert]


class Alerts(msgspec.Struct, frozen=True, kw_only=True):
    """All rules, by name, and the notifications that wait for somebody to take them."""

    rules: list[Watched]
    waiting: list[Backlog]


class HistoryAsked(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of ``/alerts/history``."""

    rule: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    before: Annotated[
        Integer | None, msgspec.Meta(description="`next_before` of the page before")
    ] = None


class History(msgspec.Struct, frozen=True, kw_only=True):
    """When alerts began and ceased to fire, the newest first."""

    history: list[Occurrence]
    next_before: int | None


class Silencing(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of a new silence."""

    match: Annotated[
        tuple[Annotated[str, msgspec.Meta(pattern=MATCHER)], ...],
        msgspec.Meta(
            min_length=1,
            max_length=MOST_MATCHERS,
            description="`label=value`, where `*` in the value is any run of characters; all must"
            " hold",
        ),
    ]
    duration: Annotated[
        str | None,
        msgspec.Meta(
            description="how long it holds: 90s, 15m, 1h, 7d, 2w; 1h where no end is given",
            extra_json_schema={"pattern": PATTERN},
        ),
    ] = None
    until: Time = None
    comment: Annotated[str, msgspec.Meta(max_length=LONGEST_COMMENT)] = ""
    author: Annotated[str, msgspec.Meta(max_length=LONGEST_AUTHOR)] = ""


class SilenceOf(msgspec.Struct, frozen=True, kw_only=True):
    """The path of a silence."""

    id: Integer


class Silences(msgspec.Struct, frozen=True, kw_only=True):
    """The silences that hold, the first to end first."""

    silences: list[Silence]
