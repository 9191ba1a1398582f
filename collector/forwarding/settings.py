"""
What every forwarder can be told in config.yaml.

The settings of one are a subclass of `Forwarder`, or of `HttpForwarder` if it speaks HTTP. It
adds its own keys, changes defaults by naming a field again, and says what no type says in
`problems`, beginning with those of the base.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlsplit

import msgspec

from collector import search, secrets
from collector.forwarding.attributes import KEPT
from collector.search import times
from collector.secrets import Secret  # noqa: TC001  msgspec reads the annotations
from collector.sections import Bytes, Count, Seconds, Section

if TYPE_CHECKING:
    from collections.abc import Iterator

    from storage.search import Search

Rate = Annotated[float, msgspec.Meta(ge=0, description="records a second")]
Age = Annotated[float, msgspec.Meta(ge=0, description="seconds")]
Url = Annotated[str, msgspec.Meta(pattern=r"^https?://[^\s/]+\S*$", description="http://… URL")]
UrlOrEmpty = Annotated[
    str, msgspec.Meta(pattern=r"^(https?://[^\s/]+\S*)?$", description="http://… URL or nothing")
]

BEGINNING, NOW = "beginning", "now"


class Batch(Section, frozen=True, kw_only=True):
    """When a batch is sent: at whichever of these comes first."""

    max_records: Count = 1_000
    max_bytes: Bytes = 1_000_000  # of the records as they are stored; a body may be larger
    timeout: Seconds = 1.0  # that a record waits for others


class RetryOnFailure(Section, frozen=True, kw_only=True):
    """How long to wait before the same is sent again; a third of it is left to chance."""

    initial_interval: Seconds = 5.0
    multiplier: Annotated[float, msgspec.Meta(ge=1)] = 1.5
    max_interval: Seconds = 30.0
    # Then the records become dead letters; 0 is never: they wait in the table.
    max_elapsed_time: Age = 0.0
    # How often a record that is sent alone is answered 500, while others are taken, until it is
    # a dead letter; 0 is never.
    max_record_failures: Annotated[int, msgspec.Meta(ge=0)] = 10


class Attributes(Section, frozen=True, kw_only=True):
    """Which attributes and columns of a record are left out, or have another name there."""

    drop: tuple[str, ...] = ()
    rename: dict[str, str] = msgspec.field(default_factory=dict)


class Forwarder(Section, frozen=True, kw_only=True):
    """Which records go to a destination, from when on, and how fast."""

    filter: str = ""  # a search, in the language of docs/search.md; empty is everything
    start_at: str = NOW  # of a new destination: beginning, now, or a time
    batch: Batch = Batch()
    concurrency: Count = 2  # batches that are under way at once
    rate_limit: Rate = 0.0  # 0 is none
    max_age: Age = 0.0  # of a record's own time; 0 is any
    too_old: Literal["skip", "dead_letter", "send"] = "skip"  # both are counted
    retry_on_failure: RetryOnFailure = RetryOnFailure()
    attributes: Attributes = Attributes()

    __repr__ = secrets.represent

    def __post_init__(self) -> None:
        """Check what no type says."""
        if problems := list(self.problems()):
            raise ValueError("; ".join(problems))

    def problems(self) -> Iterator[str]:
        """Give what is wrong between the settings, each with the key's name in front."""
        try:
            search.parse(self.filter)
        except search.Mistake as exc:
            yield f"filter: {exc}"
        if self.start_at not in {BEGINNING, NOW}:
            try:
                times.moment(self.start_at)
            except ValueError as exc:
                yield f"start_at: expected {BEGINNING}, {NOW}, or {exc}, found {self.start_at!r}"
        if KEPT in self.attributes.drop or KEPT in self.attributes.rename:
            yield f"attributes: {KEPT} can be neither dropped nor renamed"

    @property
    def wanted(self) -> Search | None:
        """The records that go there; None is all of them."""
        return search.parse(self.filter) if self.filter.strip() else None


class Tls(Section, frozen=True, kw_only=True):
    """How a destination is known by its certificate, and we by ours."""

    ca_file: str = ""  # PEM; without it the system's authorities
    cert_file: str = ""  # PEM, of ours
    key_file: str = ""
    insecure_skip_verify: bool = False
    server_name_override: str = ""  # the name that its certificate has


class HttpForwarder(Forwarder, frozen=True, kw_only=True):
    """What is told of a destination that is reached by HTTP."""

    endpoint: Url
    tls: Tls = Tls()
    headers: dict[str, Secret] = msgspec.field(default_factory=dict)
    compression: Literal["gzip", "zstd", "none"] = "gzip"
    timeout: Seconds = 30.0  # for one batch, from connecting to the end of the answer

    def problems(self) -> Iterator[str]:
        """Give what is wrong between the settings."""
        yield from Forwarder.problems(self)
        if urlsplit(self.endpoint).username is not None:
            yield "endpoint: expected no user and password in the URL; headers can have them"
        if bool(self.tls.cert_file) != bool(self.tls.key_file):
            yield "tls: cert_file and key_file belong together"
