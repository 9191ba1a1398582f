"""
The characters of a search, one token after the other, and what is said of a wrong one.

A token is a text in quotes, a parenthesis, or a run of other characters up to a space.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn, cast

from collector.search.mistakes import Mistake, Unfit

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_NESTED = 20  # parentheses and negations in each other
MOST_CONDITIONS = 100

QUOTED = r'"(?:[^"\\]|\\.)*"'
KEYWORD = re.compile(r'(OR|AND|NOT)(?![^\s()"])')
_SPACE = re.compile(r"\s*")
_TOKEN = re.compile(rf'{QUOTED}|".*|[()]|[^\s()"]+', re.DOTALL)
_ESCAPED = re.compile(r'\\(["\\])')


def unquoted(written: str) -> str:
    """Give the text that *written*, with or without quotes, stands for."""
    if not written.startswith('"'):
        return written
    return _ESCAPED.sub(r"\1", written[1:-1])


class Scanner:
    """A place in a text, which moves to its end."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self._last = 0  # where what was read last begins
        self._nested = 0
        self._conditions = 0

    def next(self) -> str:
        """Give the next character, or nothing at the end."""
        return self.text[self.at : self.at + 1]

    def advance(self, length: int, *, spaced: bool = True) -> None:
        """Go on by what was read, and by the space behind it."""
        if length:
            self._last = self.at
        self.at += length
        if spaced:
            self.at = cast("re.Match[str]", _SPACE.match(self.text, self.at)).end()

    def sees(self, word: str) -> bool:
        """Tell whether the keyword *word* is next."""
        match = KEYWORD.match(self.text, self.at)
        return match is not None and match[1] == word

    def keyword(self, word: str) -> bool:
        """Read *word* if it is next, and tell whether it was."""
        if seen := self.sees(word):
            self.advance(len(word))
        return seen

    def separate(self) -> None:
        """Read the space behind a condition, or the end of what it is in."""
        if self.next() not in {"", ")"} and not self.next().isspace():
            self.fail("a space, or quotes around the whole text")
        self.advance(0)

    def close(self, start: int, expected: str = "`)`") -> None:
        """Read the end of the parenthesis that is at *start*."""
        if self.next() != ")":
            if not self.next():
                self.at = start
                raise self._mistake(f"{expected} for this parenthesis", length=1, found="the end")
            self.fail(expected)
        self.advance(1, spaced=False)

    def count(self) -> None:
        """Count a condition; there may not be too many."""
        self._conditions += 1
        if self._conditions > MOST_CONDITIONS:
            self.fail(f"at most {MOST_CONDITIONS} conditions")

    @contextmanager
    def deeper(self) -> Iterator[None]:
        """Read something within another; it may not go too deep."""
        self._nested += 1
        if self._nested > MOST_NESTED:
            self.at = self._last
            self.fail(f"at most {MOST_NESTED} parentheses and negations in each other", length=1)
        yield
        self._nested -= 1

    @contextmanager
    def fitting(self, start: int) -> Iterator[None]:
        """Tell of a value, from *start* to here, that its field can't have."""
        try:
            yield
        except Unfit as exc:
            length = self.at - start
            self.at = start
            self.fail(str(exc), length=length)

    def fail(self, expected: str, *, length: int = 0, suggestion: str = "") -> NoReturn:
        """Say that what is next, *length* characters or one word, is not what is *expected*."""
        token = _TOKEN.match(self.text, self.at)
        if self.next().isspace():
            raise self._mistake(expected, length=1, found="a space")
        if token is None:  # the end: the place is that of what lacks something behind it
            self.at = self._last
            token = _TOKEN.match(self.text, self.at)
            size = len(token[0]) if token else 1
            raise self._mistake(f"{expected} behind this", length=size, found="the end")
        size = length or len(token[0])
        if token[0].startswith('"') and not re.fullmatch(QUOTED, token[0], re.DOTALL):
            raise self._mistake('a closing `"`', length=size, found="the end")
        found = f"`{self.text[self.at : self.at + size]}`"
        raise self._mistake(expected, length=size, found=found, suggestion=suggestion)

    def _mistake(self, expected: str, *, length: int, found: str, suggestion: str = "") -> Mistake:
        return Mistake(self.at + 1, length, expected=expected, found=found, suggestion=suggestion)
