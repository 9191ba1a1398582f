"""
The body of a native request as Python values, repaired where its JSON is almost right.

msgspec reads what is strictly JSON. What it refuses goes the slow way once: real senders
write lone surrogates (Python's ``json.dumps`` of a file name that is no UTF-8), NaN and
Infinity, a byte order mark, cut UTF-8, numbers beyond any float. None of these may cost
the good records beside them.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

import msgspec

from collector.errors import Unprocessable

if TYPE_CHECKING:
    from collections import Counter

NUL, SURROGATE, UTF8 = "nul", "surrogate", "utf8"  # replaced by U+FFFD
NUMBER = "number"  # one that no int64 or float holds: it is kept as text

# Python refuses to read longer integers, and msgspec does long before.
_LONGEST_INTEGER = 400

# Every escape sequence, so that the second half of an escaped backslash is never taken for
# the start of another. Pairs of surrogates, which are fine, come first.
_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|u(?P<nul>0000)|u(?P<surrogate>[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_NUL_ESCAPE = b"\\u0000"

_decode = msgspec.json.Decoder().decode


def decode(body: bytes, changes: Counter[str]) -> Any:
    """
    Read *body*, and count in *changes* what had to be changed.

    NaN and the infinities come out as floats; `collector.values` can keep them.

    Raises:
        Unprocessable: it is not JSON, or nested too deeply to read.
    """
    try:
        if _NUL_ESCAPE not in body:
            return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass  # perhaps it can be repaired
    except RecursionError:
        raise _malformed(0, "nested too deeply") from None
    if not body.strip():
        missing = {"type": "missing", "loc": ["body"], "msg": "Field required", "input": None}
        raise Unprocessable([missing])
    text = _repaired(body, changes)
    try:
        return _lenient(text, changes)
    except json.JSONDecodeError as exc:
        raise _malformed(exc.pos, exc.msg) from exc
    except RecursionError:
        raise _malformed(0, "nested too deeply") from None


def _repaired(body: bytes, changes: Counter[str]) -> str:
    """Decode *body* so that no string of its JSON holds NUL or a lone surrogate."""
    text = body.decode(errors="replace").removeprefix("\ufeff")
    changes[UTF8] += text.count("\ufffd") - body.count("\ufffd".encode())

    def replace(escape: re.Match[str]) -> str:
        if escape["nul"]:
            changes[NUL] += 1
        elif escape["surrogate"]:
            changes[SURROGATE] += 1
        else:
            return escape[0]
        return "\\ufffd"

    return _ESCAPE.sub(replace, text) if "\\u" in text else text


def _lenient(text: str, changes: Counter[str]) -> Any:
    """Read JSON as Python's own reader does, but no number may stop it."""

    def integer(digits: str) -> int | str:
        if len(digits) <= _LONGEST_INTEGER:
            return int(digits)
        changes[NUMBER] += 1
        return digits

    def number(digits: str) -> float | str:
        if math.isfinite(found := float(digits)):
            return found
        changes[NUMBER] += 1
        return digits

    return json.loads(text, parse_int=integer, parse_float=number)


def _malformed(position: int, problem: str) -> Unprocessable:
    detail = {
        "type": "json_invalid",
        "loc": ["body", position],
        "msg": "JSON decode error",
        "input": {},
        "ctx": {"error": problem},
    }
    return Unprocessable([detail])
