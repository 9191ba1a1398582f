"""
The search language: text to `storage.search`; docs/search.md has its grammar.

Each method reads one rule of the grammar from where the one before ended, up to the first
character of what follows.
"""

from __future__ import annotations

import re
from typing import cast

from collector.search import values
from collector.search.mistakes import LAST, Mistake, Unfit, meant
from collector.search.scanner import KEYWORD, QUOTED, Scanner, unquoted
from collector.search.times import span
from storage import search as s
from storage.fields import COLUMNS, Field, field

NAME = re.compile(rf"([^\W\d][\w.\-/@]*|{QUOTED})(:|<=|<|>=|>)", re.DOTALL)
ASSIGNED = re.compile(r"(\w+)([=!]=?)(.*)", re.DOTALL)
_UNREADABLE = re.compile("[\0\ud800-\udfff]")
_VALUE = re.compile(rf'(\*?)({QUOTED}|[^\s()"*]+)?(\*?)', re.DOTALL)
_TEXT = re.compile(rf'{QUOTED}|[^\s()"]+', re.DOTALL)


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


class _Parser(Scanner):
    def search(self) -> s.Search:
        self.advance(0)
        if not self.next():
            return s.EVERYTHING
        found = self._disjunction()
        if self.next():  # only a parenthesis ends a disjunction early
            self.fail("the end, for no parenthesis is open")
        return found

    def _disjunction(self) -> s.Search:
        found = [self._conjunction()]
        while self.keyword("OR"):
            found.append(self._conjunction())
        return s.either(*found)

    def _conjunction(self) -> s.Search:
        found = [self._negation()]
        while self.next() not in {"", ")"} and not self.sees("OR"):
            self.keyword("AND")
            found.append(self._negation())
        return s.both(*found)

    def _negation(self) -> s.Search:
        if self.next() == "-":
            if re.match(r"-[\s)]|-$", self.text[self.at : self.at + 2]):
                self.fail("a condition right after `-`, or `-` in quotes")
            self.advance(1)
        elif not self.keyword("NOT"):
            return self._term()
        with self.deeper():
            return s.Not(self._negation())

    def _term(self) -> s.Search:
        if self.next() in {"", ")"} or KEYWORD.match(self.text, self.at):
            self.fail("a condition")
        if self.next() == "(":
            return self._group()
        self.count()
        name = NAME.match(self.text, self.at)
        found = self._condition(name) if name else self._words()
        self.separate()
        return found

    def _group(self) -> s.Search:
        start = self.at
        self.advance(1)
        with self.deeper():
            found = self._disjunction()
        self.close(start)
        self.separate()
        return found

    def _condition(self, match: re.Match[str]) -> s.Search:
        written, operator = match.groups()
        if operator == ":" and self.text.startswith("//", match.end()):
            self.fail("a condition, or the address in quotes")
        name = self._name(written)
        if name == LAST and operator != ":":
            self.fail("`last:` and how long, such as last:15m")
        self.advance(len(match[0]), spaced=False)
        if name == LAST:
            return self._ago()
        wanted = field(name)
        if operator != ":":
            start, text = self._plain()
            with self.fitting(start):
                order = cast("s.Operator", operator)
                return values.compared(name, wanted, order, text)
        if self.next() != "(":
            return self._value(name, wanted)
        return self._values(name, wanted)

    def _name(self, written: str) -> str:
        name = unquoted(written)
        if name == LAST or "." in name or field(name).kind != "key":
            return name
        if suggestion := meant(name):
            expected = f"a field (a key of `extra` is written `extra.{name}`, text in quotes)"
            self.fail(expected, length=len(written), suggestion=suggestion)
        return f"extra.{name}"

    def _ago(self) -> s.Search:
        start, text = self._plain()
        with self.fitting(start):
            return s.Last(span(text))

    def _values(self, name: str, wanted: Field) -> s.Search:
        start = self.at
        self.advance(1)
        found = [self._value(name, wanted)]
        self.separate()
        while self.keyword("OR"):
            self.count()
            found.append(self._value(name, wanted))
            self.separate()
        self.close(start, "`OR` or `)`")
        return values.any_of(name, found)

    def _value(self, name: str, wanted: Field) -> s.Search:
        start = self.at
        match = cast("re.Match[str]", _VALUE.match(self.text, start))
        before, written, after = match.groups()
        if not match[0] or match[0] == "**" or (before and written and not after):
            self.fail("a value, or one with `*` at its end or at both ends")
        self.advance(len(match[0]), spaced=False)
        if written is None:
            return s.Present(name)
        text = unquoted(written)
        with self.fitting(start):
            if not after:
                return values.equal(name, wanted, text)
            if wanted.kind in {"number", "duration", "time"}:
                raise Unfit("a value without `*`, for this field has no text")
            if not text:
                raise Unfit("some text beside `*`")
            return s.Contains(name, text) if before else s.Prefix(name, text)

    def _plain(self) -> tuple[int, str]:
        """Read a value without stars; give where it begins, and its text."""
        start = self.at
        match = _TEXT.match(self.text, start)
        if match is None:
            self.fail("a value")
        self.advance(len(match[0]), spaced=False)
        return start, unquoted(match[0])

    def _words(self) -> s.Search:
        match = _TEXT.match(self.text, self.at)
        if match is None:
            self.fail("a condition")
        written, text = match[0], unquoted(match[0])
        if not text:
            self.fail("some text in the quotes")
        if written == text and "*" in text:
            self.fail("a field before `*`, or the text in quotes")
        if (assigned := ASSIGNED.match(written)) and assigned[1] in COLUMNS:
            sign = "-" if "!" in assigned[2] else ""
            suggestion = f"{sign}{assigned[1]}:{assigned[3]}"
            self.fail("a condition, or the text in quotes", suggestion=suggestion)
        self.advance(len(written), spaced=False)
        return s.Text(text)
