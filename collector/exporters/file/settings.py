"""The settings of exporter ``file``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from collector.api.parquet import Parquet
from collector.errors import NotInstalled
from collector.forwarding.settings import Forwarder
from collector.sections import Bytes, Count, Seconds, Section

if TYPE_CHECKING:
    from collections.abc import Iterator

Limit = Annotated[int, msgspec.Meta(ge=0)]


class Rotation(Section, frozen=True, kw_only=True):
    """When a file is finished and the next one begun: at whichever comes first."""

    max_bytes: Bytes = 100 * 1024 * 1024  # of JSON, before compression
    max_age: Seconds = 3600.0  # since its first record was written


class Keep(Section, frozen=True, kw_only=True):
    """How much a folder may have; 0 is no limit."""

    max_files: Limit = 0
    max_bytes: Limit = 0
    when_full: Literal["stop", "delete_oldest"] = "stop"


class File(Forwarder, frozen=True, kw_only=True):
    """Forwarding to files in a folder, which no other forwarder may have."""

    folder: str
    format: Literal["jsonl", "parquet"] = "jsonl"
    compression: Literal["none", "gzip", "zstd"] = "gzip"  # of jsonl; parquet is compressed anyway
    rotation: Rotation = Rotation()
    keep: Keep = Keep()
    concurrency: Count = 1

    def problems(self) -> Iterator[str]:
        """Give what is wrong between the settings."""
        yield from Forwarder.problems(self)
        if not self.folder:
            yield "folder: expected the name of one"
        if self.keep.max_files == 1:
            yield "keep: max_files: expected 0 or at least 2, for one is under construction"
        if self.format == "parquet":
            try:
                Parquet()
            except NotInstalled as exc:
                yield f"format: {exc}"
