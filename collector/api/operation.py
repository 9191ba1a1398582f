"""What the OpenAPI document says of one path."""

from __future__ import annotations

from typing import Any

import msgspec

from collector.access.needs import ADMIN, Needs
from collector.api import shapes as s

JSON, PROTOBUF = "application/json", "application/x-protobuf"
WRONG = {422: "a parameter is not of its type"}
AWAY = {503: "the database is away, or the query takes too long; try again later"}


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """What the document says of one path."""

    method: str = "get"
    path: str
    summary: str
    answer: Any
    media: tuple[str, ...] = (JSON,)  # of body and answer
    in_path: type[msgspec.Struct] | None = None
    query: type[msgspec.Struct] | None = None
    body: Any = None
    failure: type[msgspec.Struct] = s.Failure
    failures: dict[int, str] = {}
    endpoint: str | None = None  # where not that of the API
    needs: Needs = ADMIN  # what a key must have, where keys are asked for
