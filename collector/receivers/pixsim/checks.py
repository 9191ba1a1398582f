"""
The shape a request must have, and the 422 for one that has not.

``type``, ``loc`` and ``msg`` are what pydantic and FastAPI say, for senders know those.
"""

from __future__ import annotations

from typing import Any

from collector.errors import Unprocessable
from collector.receivers.pixsim.encoding import encoded

_REQUIRED = ("level", "service")
_MOST_DETAILS = 20

_LONGEST_SHOWN = 10_000  # bytes of a body; of a longer one an error does not show the value
_DEEPEST_SHOWN = 3


def single(value: Any, size: int) -> dict[str, Any]:
    """
    Check that *value*, a body of *size* bytes, is a record with a level and a service.

    Raises:
        Unprocessable: it is not, or they are no strings.
    """
    entry = _object(value, size)
    problems = []
    for name in _REQUIRED:
        if name not in entry:
            problems.append(_problem("missing", [name], "Field required", entry, size))
        elif not isinstance(entry[name], str):
            msg = "Input should be a valid string"
            problems.append(_problem("string_type", [name], msg, entry[name], size))
    if problems:
        raise Unprocessable(problems)
    return entry


def many(value: Any, size: int) -> list[dict[str, Any]]:
    """
    Give the ``logs`` of *value*, a body of *size* bytes.

    Raises:
        Unprocessable: it is no object with a list of objects.
    """
    body = _object(value, size)
    if "logs" not in body:
        raise Unprocessable([_problem("missing", ["logs"], "Field required", body, size)])
    entries: list[dict[str, Any]] = body["logs"]
    if not isinstance(entries, list):
        msg = "Input should be a valid list"
        raise Unprocessable([_problem("list_type", ["logs"], msg, entries, size)])
    wrong = [place for place, entry in enumerate(entries) if type(entry) is not dict]
    if wrong:
        msg = "Input should be a valid dictionary"
        raise Unprocessable(
            [
                _problem("dict_type", ["logs", place], msg, entries[place], size)
                for place in wrong[:_MOST_DETAILS]
            ]
        )
    return entries


def refused(reason: str) -> Unprocessable:
    """Make the error for a record that the database will never take."""
    return Unprocessable([_problem("value_error", [], reason, None, 0)])


def _object(value: Any, size: int) -> dict[str, Any]:
    if not isinstance(value, dict):
        msg = "Input should be a valid dictionary or object to extract fields from"
        raise Unprocessable([_problem("model_attributes_type", [], msg, value, size)])
    return value


def _problem(
    kind: str, place: list[str | int], msg: str, found: object, size: int
) -> dict[str, Any]:
    shown = encoded(found, set(), _DEEPEST_SHOWN) if size <= _LONGEST_SHOWN else None
    return {"type": kind, "loc": ["body", *place], "msg": msg, "input": shown}
