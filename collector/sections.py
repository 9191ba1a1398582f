"""What the configuration's parts are made of: the base of all sections, and shared types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

Seconds = Annotated[float, msgspec.Meta(gt=0, description="seconds")]
Count = Annotated[int, msgspec.Meta(ge=1)]
Bytes = Annotated[int, msgspec.Meta(ge=1, description="bytes")]
Endpoint = Annotated[
    str, msgspec.Meta(pattern=r"^(\[[0-9a-fA-F:.]+\]|[^:\s/]*):\d{1,5}$", description="host:port")
]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all parts of the configuration share: a misspelt key is an error."""


class Cors(Section, frozen=True, kw_only=True):
    """
    Which browser pages may call; components on one endpoint share the union.

    An origin is ``scheme://host[:port]``; ``*`` stands for any run of characters in it.
    A string is a comma-separated list, so that it can come from the environment.
    """

    allowed_origins: str | tuple[str, ...] = ("http://localhost:*", "http://127.0.0.1:*")
    max_age: int = 3600  # seconds a browser may remember the answer


class ServerTls(Section, frozen=True, kw_only=True):
    """The certificate that an endpoint is known by, and whose clients it takes."""

    cert_file: str = ""  # PEM, with those between it and the authority; without it no TLS
    key_file: str = ""
    client_ca_file: str = ""  # PEM; clients must then have a certificate that it vouches for
    min_version: Literal["1.2", "1.3"] = "1.2"

    def __post_init__(self) -> None:
        """Check that there is a key for the certificate."""
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError("expected `cert_file` and `key_file`, or neither")
        if self.client_ca_file and not self.cert_file:
            raise ValueError("`client_ca_file` needs a `cert_file` of our own")


class HttpServer(Section, frozen=True, kw_only=True):
    """Where a component listens; components with the same endpoint share its socket."""

    endpoint: Endpoint
    tls: ServerTls = ServerTls()
    cors: Cors = Cors()
    max_request_body_size: Bytes = 64 * 1024 * 1024  # after decompression


class Connections(Section, frozen=True, kw_only=True):
    """The connections of each process, and how long a request may take to come."""

    max_open: Count = 20_000
    idle_timeout: Seconds = 630.0  # longer than proxies keep theirs, who should close first
    read_header_timeout: Seconds = 10.0
    read_timeout: Seconds = 30.0  # for a whole body


class RateLimits(Section, frozen=True, kw_only=True):
    """How much each key may send a second to each process; 0 is no limit."""

    requests: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    bytes: Annotated[float, msgspec.Meta(ge=0)] = 0.0  # after decompression


def servers(part: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], HttpServer]]:
    """Give each server that *part* of a configuration has, with the path to it."""
    if isinstance(part, HttpServer):
        yield path, part
        return
    inner = msgspec.structs.asdict(part) if isinstance(part, Section) else part
    for name, value in inner.items() if isinstance(inner, dict) else ():
        yield from servers(value, (*path, name))
