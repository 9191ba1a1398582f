"""What somebody may send whose key is for some services or environments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collector.access import guard

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiohttp import web

    from storage.records import LogRecord

NOT_PERMITTED = "not_permitted"  # why a record is refused, as a counter's label


class Permission:
    """The services and environments of a key, and the one of each that stands for none said."""

    def __init__(self, key: str, services: tuple[str, ...], envs: tuple[str, ...]) -> None:
        self._key = key
        self._listed = [(n, v) for n, v in (("service", services), ("env", envs)) if v]

    def fill(self, entry: dict[str, Any]) -> None:
        """Let *entry*, an object of a sender, say what its key says, where it says nothing."""
        for name, only in self._only():
            if entry.get(name) in (None, ""):
                entry[name] = only

    def complete(self, record: LogRecord, none: str) -> None:
        """Do the same for a row, whose service is *none* where its sender said nothing."""
        for name, only in self._only():
            if getattr(record, name) in {None, "", none}:
                setattr(record, name, only)

    def objection(self, record: LogRecord) -> tuple[str, str] | None:
        """Give the column that keeps *record* from being sent, and the reason."""
        for name, values in self._listed:
            found = getattr(record, name)
            if found not in values:
                return name, f"{name} is {found}, which key {self._key} may not send"
        return None

    def _only(self) -> Iterator[tuple[str, str]]:
        return ((name, values[0]) for name, values in self._listed if len(values) == 1)


def of(request: web.Request) -> Permission | None:
    """Give what the sender of *request* may send; None is everything."""
    key = request.get(guard.KEY)
    return Permission(key.name, key.services, key.envs) if key and key.restricted else None
