"""
The search language: text to `storage.search`; docs/search.md has its grammar.

Each method reads one rule of the grammar from where the one before ended, up to the first
character of what follows.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn, cast

from collector.search import values
from collector.search.mistakes import LAST, Mistake, Unfit, meant
from collector.search.times import span
from storage import search as s
from storage.fields import COLUMNS, Field, field

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_NESTED = 20  # parentheses and negations in each other
MOST_CONDITIONS = 100

QUOTED = r'"(?:[^"\\]|\\.)*"'
KEYWORD = re.compile(r'(OR|AND|NOT)(?![^\s()"])')
NAME = re.compile(rf"([^\W\d][\w.\-/@]*|{QUOTED})(:|<=|<|>=|>)", re.DOTALL)
ASSIGNED = re.compile(r"(\w+)([=!]=?)(.*)", re.DOTALL)
_SPACE = re.compile(r"\s*")
_UNREADABLE = re.compile("[\0\ud800-\udfff]")
_VALUE = re.compile(rf'(\*?)({QUOTED}|[^\s()"*]+)?(\*?)', re.DOTALL)
_TEXT = re.compile(rf'{QUOTED}|[^\s()"]+', re.DOTALL)
_TOKEN = re.compile(rf'{QUOTED}|".*|[()]|[^\s()"]+', re.DOTALL)
_ESCAPED = re.compile(r'\\(["\\])')


def parse(text: str) -> s.Search:
    """
    Read a search; an empty text finds everything.

    Raises:
        Mistake: it is none, with the place where it ceases to be one.
    """
    if unreadable := _UNREADABLE.search(text):
        at = unreadable.start() + 1
        raise Mistake(at, 1, expected="text", found="a character that no log has")
    return _Parser(text).search()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._last = 0  # where what was read last begins
        self._nested = 0
        self._conditions = 0

    def search(self) -> s.Search:
        self._advance(0)
        if not self._next():
            return s.EVERYTHING
        found = self._disjunction()
        if self._next():  # only a parenthesis ends a disjunction early
            self._fail("the end, for no parenthesis is open")
        return found

    def _disjunction(self) -> s.Search:
        found = [self._conjunction()]
        while self._keyword("OR"):
            found.append(self._conjunction())
        return s.either(*found)

    def _conjunction(self) -> s.Search:
        found = [self._negation()]
        while self._next() not in {"", ")"} and not self._sees("OR"):
            self._keyword("AND")
            found.append(self._negation())
        return s.both(*found)

    def _negation(self) -> s.Search:
        if self._next() == "-":
            if re.match(r"-[\s)]|-$", self._text[self._at : self._at + 2]):
                self._fail("a condition right after `-`, or `-` in quotes")
            self._advance(1)
        elif not self._keyword("NOT"):
            return self._term()
        with self._deeper():
            return s.Not(self._negation())

    def _term(self) -> s.Search:
        if self._next() in {"", ")"} or KEYWORD.match(self._text, self._at):
            self._fail("a condition")
        if self._next() == "(":
            return self._group()
        self._count()
        if name := NAME.match(self._text, self._at):
            found = self._condition(name)
        else:
            found = self._words()
        self._separate()
        return found

    def _group(self) -> s.Search:
        start = self._at
        self._advance(1)
        with self._deeper():
            found = self._disjunction()
        self._close(start)
        self._separate()
        return found

    def _condition(self, match: re.Match[str]) -> s.Search:
        written, operator = match.groups()
        if operator == ":" and self._text.startswith("//", match.end()):
            self._fail("a condition, or the address in quotes")
        name = self._name(written)
        self._advance(len(match[0]), spaced=False)
        if name == LAST:
            return self._ago(operator)
        wanted = field(name)
        if operator != ":":
            start, text = self._plain()
            with self._fitting(start):
                order = cast("s.Operator", operator)
                return values.compared(name, wanted, order, text)
        if self._next() != "(":
            return self._value(name, wanted)
        return self._values(name, wanted)

    def _name(self, written: str) -> str:
        name = unquoted(written)
        if name == LAST or "." in name or field(name).kind != "key":
            return name
        if suggestion := meant(name):
            expected = f"a field (a key of `extra` is written `extra.{name}`, text in quotes)"
            self._fail(expected, length=len(written), suggestion=suggestion)
        return f"extra.{name}"

    def _ago(self, operator: str) -> s.Search:
        if operator != ":":
            self._at = self._last
            self._fail("`last:` and how long, such as last:15m")
        start, text = self._plain()
        with self._fitting(start):
            return s.Last(span(text))

    def _values(self, name: str, wanted: Field) -> s.Search:
        start = self._at
        self._advance(1)
        found = [self._value(name, wanted)]
        self._separate()
        while self._keyword("OR"):
            self._count()
            found.append(self._value(name, wanted))
            self._separate()
        self._close(start, "`OR` or `)`")
        return values.any_of(name, found)

    def _value(self, name: str, wanted: Field) -> s.Search:
        start = self._at
        match = cast("re.Match[str]", _VALUE.match(self._text, start))
        before, written, after = match.groups()
        if not match[0] or match[0] == "**" or (before and written and not after):
            self._fail("a value, or one with `*` at its end or at both ends")
        self._advance(len(match[0]), spaced=False)
        if written is None:
            return s.Present(name)
        text = unquoted(written)
        with self._fitting(start):
            if not after:
                return values.equal(name, wanted, text)
            if wanted.kind in {"number", "duration", "time"}:
                raise Unfit("a value without `*`, for this field has no text")
            if not text:
                raise Unfit("some text beside `*`")
            return s.Contains(name, text) if before else s.Prefix(name, text)

    def _plain(self) -> tuple[int, str]:
        """Read a value without stars; give where it begins, and its text."""
        start = self._at
        match = _TEXT.match(self._text, start)
        if match is None:
            self._fail("a value")
        self._advance(len(match[0]), spaced=False)
        return start, unquoted(match[0])

    def _words(self) -> s.Search:
        match = _TEXT.match(self._text, self._at)
        if match is None:
            self._fail("a condition")
        written, text = match[0], unquoted(match[0])
        if not text:
            self._fail("some text in the quotes")
        if written == text and "*" in text:
            self._fail("a field before `*`, or the text in quotes")
        if (assigned := ASSIGNED.match(written)) and assigned[1] in COLUMNS:
            sign = "-" if "!" in assigned[2] else ""
            suggestion = f"{sign}{assigned[1]}:{assigned[3]}"
            self._fail("a condition, or the text in quotes", suggestion=suggestion)
        self._advance(len(written), spaced=False)
        return s.Text(text)

    def _next(self) -> str:
        """Give the next character, or nothing at the end."""
        return self._text[self._at : self._at + 1]

    def _advance(self, length: int, *, spaced: bool = True) -> None:
        """Go on by what was read, and by the space behind it."""
        if length:
            self._last = self._at
        self._at += length
        if spaced:
            self._at = cast("re.Match[str]", _SPACE.match(self._text, self._at)).end()

    def _sees(self, word: str) -> bool:
        match = KEYWORD.match(self._text, self._at)
        return match is not None and match[1] == word

    def _keyword(self, word: str) -> bool:
        """Read *word* if it is next, and tell whether it was."""
        if seen := self._sees(word):
            self._advance(len(word))
        return seen

    def _separate(self) -> None:
        if self._next() not in {"", ")"} and not self._next().isspace():
            self._fail("a space, or quotes around the whole text")
        self._advance(0)

    def _close(self, start: int, expected: str = "`)`") -> None:
        if self._next() != ")":
            if not self._next():
                self._at = start
                raise self._mistake(f"{expected} for this parenthesis", length=1, found="the end")
            self._fail(expected)
        self._advance(1, spaced=False)

    def _count(self) -> None:
        self._conditions += 1
        if self._conditions > MOST_CONDITIONS:
            self._fail(f"at most {MOST_CONDITIONS} conditions")

    @contextmanager
    def _deeper(self) -> Iterator[None]:
        self._nested += 1
        if self._nested > MOST_NESTED:
            self._at = self._last
            self._fail(f"at most {MOST_NESTED} parentheses and negations in each other", length=1)
        yield
        self._nested -= 1

    @contextmanager
    def _fitting(self, start: int) -> Iterator[None]:
        """Tell of a value, from *start* to here, that its field can't have."""
        try:
            yield
        except Unfit as exc:
            length = self._at - start
            self._at = start
            self._fail(str(exc), length=length)

    def _fail(self, expected: str, *, length: int = 0, suggestion: str = "") -> NoReturn:
        """Say that what is next, *length* characters or one word, is not what is *expected*."""
        token = _TOKEN.match(self._text, self._at)
        if token is None:  # the end: the place is that of what lacks something behind it
            self._at = self._last
            token = _TOKEN.match(self._text, self._at)
            size = len(token[0]) if token else 1
            raise self._mistake(f"{expected} behind this", length=size, found="the end")
        size = length or len(token[0])
        if token[0].startswith('"') and not re.fullmatch(QUOTED, token[0], re.DOTALL):
            raise self._mistake('a closing `"`', length=size, found="the end")
        found = f"`{self._text[self._at : self._at + size]}`"
        raise self._mistake(expected, length=size, found=found, suggestion=suggestion)

    def _mistake(self, expected: str, *, length: int, found: str, suggestion: str = "") -> Mistake:
        return Mistake(self._at + 1, length, expected=expected, found=found, suggestion=suggestion)


def unquoted(written: str) -> str:
    """Give the text that *written*, with or without quotes, stands for."""
    if not written.startswith('"'):
        return written
    return _ESCAPED.sub(r"\1", written[1:-1])
