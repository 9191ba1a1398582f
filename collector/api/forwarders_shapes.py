"""The parameters and answers of what is asked about forwarders, and said to them."""

from __future__ import annotations

import datetime as dt  # noqa: TC003  msgspec reads the annotations
from typing import Annotated, Literal

import msgspec

from collector.api.parameters import Integer, Time  # noqa: TC001  the same
from storage.dead_letters import DeadLetter  # noqa: TC001  msgspec reads the annotations
from storage.destinations import State  # noqa: TC001  the same

NAME = msgspec.Meta(description="as in config.yaml; a slash in it is written %2F")


class Forwarder(msgspec.Struct, frozen=True, kw_only=True):
    """The path of ``/forwarders/{name}`` and what is below it."""

    name: Annotated[str, NAME]


class ReplayOf(msgspec.Struct, frozen=True, kw_only=True):
    """The path of a replay."""

    name: Annotated[str, NAME]
    replay: Integer


class LetterOf(msgspec.Struct, frozen=True, kw_only=True):
    """The path of a dead letter."""

    name: Annotated[str, NAME]
    id: Integer


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of ``/pause``."""

    reason: Annotated[str | None, msgspec.Meta(description="is shown to others")] = None


class Skip(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of ``/skip``."""

    to: Annotated[
        Time,
        msgspec.Meta(description="go on with what was received then; by default, from now on"),
    ] = None
    position: Annotated[
        str | None,
        msgspec.Meta(
            description="go on from here; a position as `/forwarders` has it",
            extra_json_schema={"format": "pixsim-position"},
        ),
    ] = None


class Range(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of ``/replay``: times at which records were received."""

    start_time: Time
    end_time: Time = None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of ``/dead-letters``."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    before: Annotated[
        Integer | None, msgspec.Meta(description="`next_before` of the page before")
    ] = None


class Letters(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of ``/dead-letters/retry``."""

    id: Annotated[tuple[Integer, ...], msgspec.Meta(description="by default, all of them")] = ()


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """What is committed and not settled yet."""

    records: Annotated[int, msgspec.Meta(description="whether or not they pass the filter")]
    bytes: Annotated[int, msgspec.Meta(description="estimated")]
    seconds: Annotated[float, msgspec.Meta(description="the age of the oldest commit; 0 at rest")]


class Replaying(msgspec.Struct, frozen=True, kw_only=True):
    """A replay under way or over."""

    id: int
    state: Literal["running", "done", "cancelled"]
    sent: int
    created_at: dt.datetime
    changed_at: dt.datetime


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """A destination, how far that has come, and how it goes."""

    name: str
    configured: Annotated[bool, msgspec.Meta(description="in the configuration of who answers")]
    state: State
    reason: Annotated[str | None, msgspec.Meta(description="why it is paused or stopped")]
    holder: Annotated[str | None, msgspec.Meta(description="who sends, as host:process")]
    position: str
    waiting: Annotated[
        Waiting | None, msgspec.Meta(description="null where the position is another server's")
    ]
    rate: Annotated[
        float | None,
        msgspec.Meta(description="records sent a second, of late; null where it is asked first"),
    ]
    sent: int
    rejected: Annotated[int, msgspec.Meta(description="by a destination that doesn't say which")]
    skipped: Annotated[int, msgspec.Meta(description="too old for it, or skipped by hand")]
    gone: Annotated[int, msgspec.Meta(description="deleted before they were sent")]
    dead: Annotated[int, msgspec.Meta(description="that became dead letters, ever")]
    dead_letters: Annotated[int, msgspec.Meta(description="that there are now")]
    last_error: str | None
    last_error_at: dt.datetime | None
    last_sent_at: dt.datetime | None
    replays: Annotated[list[Replaying], msgspec.Meta(description="the last ones, newest first")]


class Forwarders(msgspec.Struct, frozen=True, kw_only=True):
    """All destinations, by name."""

    forwarders: list[Status]


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """A replay has begun."""

    replay: int


class DeadLetters(msgspec.Struct, frozen=True, kw_only=True):
    """Dead letters, the newest first."""

    dead_letters: list[DeadLetter]
    next_before: Annotated[int | None, msgspec.Meta(description="`before` of the next page")]


class Number(msgspec.Struct, frozen=True, kw_only=True):
    """How many it was done to."""

    dead_letters: int
