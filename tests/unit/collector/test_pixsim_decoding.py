"""From the bytes of a native request to Python values."""

from __future__ import annotations

import json
import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.errors import Unprocessable
from collector.receivers.pixsim.decoding import decode

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("body", "expected", "changed"),
    [
        pytest.param(b'{"a": "caf\xc3\xa9"}', {"a": "caf\u00e9"}, {}, id="plain"),
        pytest.param(b'\xef\xbb\xbf{"a": 1}', {"a": 1}, {}, id="byte order mark"),
        pytest.param(b'{"a": 1, "a": 2}', {"a": 2}, {}, id="last of two equal keys"),
        pytest.param(rb'{"a": "x\u0000y"}', {"a": "x\ufffdy"}, {"nul": 1}, id="NUL"),
        pytest.param(rb'{"a\u0000": 1}', {"a\ufffd": 1}, {"nul": 1}, id="NUL in a key"),
        pytest.param(rb'{"a": "\\u0000"}', {"a": r"\u0000"}, {}, id="escaped backslash, u0000"),
        pytest.param(rb'{"a": "\\\u0000"}', {"a": "\\\ufffd"}, {"nul": 1}, id="backslash, NUL"),
        pytest.param(rb'{"a": "\ud800"}', {"a": "\ufffd"}, {"surrogate": 1}, id="lone high"),
        pytest.param(rb'{"a": "\uDC80x"}', {"a": "\ufffdx"}, {"surrogate": 1}, id="lone low"),
        pytest.param(
            rb'{"a": "\ud83d\ud83d\ude00"}', {"a": "\ufffd\U0001f600"}, {"surrogate": 1}, id="pair kept"
        ),
        pytest.param(
            rb'{"a": "\ude00\ud83d"}', {"a": "\ufffd\ufffd"}, {"surrogate": 2}, id="pair reversed"
        ),
        pytest.param(b'{"a": "caf\xe9"}', {"a": "caf\ufffd"}, {"utf8": 1}, id="Latin-1"),
        pytest.param(b'{"a": "\xef\xbf\xbd\xff"}', {"a": "\ufffd\ufffd"}, {"utf8": 1}, id="U+FFFD was there"),
        pytest.param(b'{"a": Infinity, "b": -Infinity}', {"a": math.inf, "b": -math.inf}, {}, id="infinities"),
        pytest.param(b'{"a": 1e999}', {"a": "1e999"}, {"number": 1}, id="beyond floats"),
        pytest.param(b'{"a": %s}' % (b"9" * 10_000), {"a": "9" * 10_000}, {"number": 1}, id="10,000 digits"),
        pytest.param(b'{"a": 0.%s}' % (b"1" * 10_000), {"a": 1 / 9}, {}, id="10,000 decimals"),
        pytest.param(b'{"a": 18446744073709551616}', {"a": 2**64}, {}, id="beyond 64 bits"),
        pytest.param(b" [1, 2.5, true, null] \n", [1, 2.5, True, None], {}, id="any JSON"),
    ],
)  # fmt: skip
def test_decode(body, expected, changed):
    """
    What JSON almost is gets read: text with U+FFFD for what it can't hold, numbers as text.
    """
    changes = Counter()

    value = decode(body, changes)

    assert expected == value
    assert changed == {reason: count for reason, count in changes.items() if count}


def test_nan():
    """
    NaN, which json.dumps writes, is a float.
    """
    assert math.isnan(decode(b"[NaN]", Counter())[0])


@pytest.mark.parametrize(
    ("body", "place", "problem"),
    [
        pytest.param(b"{", 1, "Expecting property name enclosed in double quotes", id="cut off"),
        pytest.param(b'{"a": 1} x', 9, "Extra data", id="trailing garbage"),
        pytest.param(b'{"a": 1}{"a": 2}', 8, "Extra data", id="two values"),
        pytest.param(b'{"a": "x\ny"}', 8, "Invalid control character at", id="line end in a string"),
        pytest.param(b'{"a": "x\0y"}', 8, "Invalid control character at", id="raw NUL"),
        pytest.param(b"a=1&b=2", 0, "Expecting value", id="a form"),
        pytest.param(b"\xff\xfe{\0}\0", 0, "Expecting value", id="UTF-16"),
        pytest.param(b"[" * 100_000, 0, "nested too deeply", id="depth bomb"),
        pytest.param(b'{"a":' * 100_000, 0, "nested too deeply", id="depth bomb of objects"),
        pytest.param(b"\xff" + b"[" * 100_000, 0, "Expecting value", id="bomb behind a byte"),
        pytest.param(b"[NaN," * 100_000, 0, "nested too deeply", id="bomb for the slow way"),
    ],
)  # fmt: skip
def test_malformed(body, place, problem):
    """
    What is not JSON is refused with the place and the problem, as FastAPI does.
    """
    with pytest.raises(Unprocessable) as raised:
        decode(body, Counter())

    (detail,) = raised.value.details
    assert "json_invalid" == detail["type"]
    assert ["body", place] == detail["loc"]
    assert problem == detail["ctx"]["error"]


@pytest.mark.parametrize("body", [b"", b" \n"], ids=["empty", "blank"])
def test_no_body(body):
    """
    A request without a body lacks the body.
    """
    with pytest.raises(Unprocessable) as raised:
        decode(body, Counter())

    expected = [{"type": "missing", "loc": ["body"], "msg": "Field required", "input": None}]
    assert expected == raised.value.details


@settings(deadline=None)
@given(JSON)
def test_what_python_writes_is_read(value):
    """
    Whatever json.dumps writes comes out as it was, but for NUL in text.
    """
    body = json.dumps(value).encode()

    found = decode(body, Counter())

    assert json.dumps(value) == json.dumps(found) or r"\u0000" in json.dumps(value)


@settings(deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=())), st.booleans())
def test_no_text_comes_out_dirty(text, ascii_only):
    """
    No text that comes out holds NUL or a lone surrogate, whatever went in.
    """
    body = json.dumps({text: [text]}, ensure_ascii=ascii_only).encode(errors="surrogatepass")

    ((key, (value,)),) = decode(body, Counter()).items()

    assert "\0" not in key + value
    assert key + value == (key + value).encode().decode()
