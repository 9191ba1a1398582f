"""JSON values as ``extra`` keeps them: in the encoding of `collector.values`, else as text."""

from __future__ import annotations

import json
from typing import Any

from collector import values
from collector.receivers.pixsim.decoding import NUMBER

DEPTH = "depth"  # more than `values.MAX_DEPTH` objects and lists in each other

INT64 = (-(2**63), 2**63 - 1)

_LEAST, _MOST = INT64
_PLAIN = frozenset({str, bool, type(None)})


def encoded(value: Any, changes: set[str], depth: int = values.MAX_DEPTH) -> object:
    """
    Encode *value*, whose strings are clean.

    An integer beyond int64 and what is nested deeper than *depth* become the text of their
    JSON, and *changes* is told.
    """
    kind = type(value)
    if kind in _PLAIN or (kind is int and _LEAST <= value <= _MOST):
        return value
    if kind is float:
        return values.double(value)
    if kind is int:
        changes.add(NUMBER)
        return str(value)
    if depth == 0:
        changes.add(DEPTH)
        return _text(value)
    if kind is list:
        return [encoded(each, changes, depth - 1) for each in value]
    return values.escaped({key: encoded(each, changes, depth - 1) for key, each in value.items()})


def _text(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:  # so deep that it could only just be decoded
        return "nested too deeply"
