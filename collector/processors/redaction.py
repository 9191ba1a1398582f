"""
The processor ``redaction``: secrets and personal data are taken out before anything is stored.

They are told by the names of attributes, at any depth, and by what they look like, in any text
but ids; names themselves are not changed. Counted, by what it was told by, is each value.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from collector import secrets, telemetry, values
from collector.processors.patterns import BUILT_IN, Pattern
from collector.receivers.otlp.mapping import Origin, interned_resource, interned_scope
from collector.secrets import Secret  # noqa: TC001  msgspec reads the annotations
from collector.sections import Section
from storage.records import PROMOTABLE, LogRecord, Resource, Scope

if TYPE_CHECKING:
    from storage.records import Batch

    Counts = Counter[str]

KEY = "key"  # what a value is counted by that its name tells
KEYS = (
    *("password", "passwd", "passphrase", "secret", "*_secret", "credentials", "*_credentials"),
    *("api_key", "*_api_key", "private_key", "access_key", "secret_key", "token", "*_token"),
    *("authorization", "proxy_authorization", "cookie", "set_cookie"),
)
# Text that people write, or that comes from elsewhere. The others are ids, and search keys.
TEXTS = ("msg", "error", "error_type", "stage", "channel", "domain", "operation_type", "event_name")
SHORTEST = 8  # characters that any pattern has
MOST_KNOWN = 10_000  # names that are remembered to be harmless or not
DIGITS = 16  # of a hash


class Redaction(Section, frozen=True, kw_only=True):
    """What must not be stored, and what stands for it."""

    keys: tuple[str, ...] = KEYS  # in any case, _ - and . left out; * is any run of characters
    patterns: tuple[str, ...] = tuple(BUILT_IN)
    expressions: dict[str, str] = msgspec.field(default_factory=dict)  # more, by names of yours
    action: Literal["mask", "hash", "drop"] = "mask"
    mask: str = "***"
    hash_key: Secret = ""  # of hashes, which are guessed easily without

    __repr__ = secrets.represent

    def __post_init__(self) -> None:
        """Check the names and expressions, and that hashes have a key."""
        for name in self.patterns:
            if name not in BUILT_IN:
                raise ValueError(f"no pattern `{name}`, expected some of {', '.join(BUILT_IN)}")
        for name, expression in self.expressions.items():
            if name in BUILT_IN or name == KEY:
                raise ValueError(f"`{name}` is a name of ours, choose another")
            try:
                compiled = re.compile(expression)
            except re.error as exc:
                raise ValueError(f"`{name}` is no regular expression: {exc}") from exc
            if compiled.fullmatch(""):
                raise ValueError(f"`{name}` matches the empty text")
        if self.action == "hash" and not self.hash_key:
            raise ValueError("action `hash` needs a `hash_key`, such as ${env:REDACTION_KEY}")


class Redactor:
    """Takes out of batches what `Redaction` says; a `collector.pipeline.Process`."""

    def __init__(self, config: Redaction) -> None:
        self._mask = config.mask
        self._stand_in = {"mask": self._masked, "hash": self._hashed, "drop": None}[config.action]
        self._hash_key = config.hash_key.encode()
        self._keys = re.compile("|".join(map(_key, config.keys)) or r"(?!)")
        self._secret: dict[str, bool] = {}
        self._patterns = [BUILT_IN[name] for name in config.patterns]
        self._patterns += [
            Pattern(name, re.compile(expression)) for name, expression in config.expressions.items()
        ]
        # Of an attribute that is in a column alone nothing is left.
        self._columns = [name for name in PROMOTABLE if self._is_secret(name)]

    def __call__(self, batch: Batch) -> None:
        """Change the records of *batch*, and the resources and scopes that they share."""
        counts: Counts = Counter()
        for record in batch.records:
            self._redact(record, counts)
        moved = self._moved(batch.resources, counts)
        if moved:
            for record in batch.records:
                record.resource_id = moved.get(record.resource_id, record.resource_id)
        moved = self._moved(batch.scopes, counts)
        if moved:
            for record in batch.records:
                record.scope_id = moved.get(record.scope_id, record.scope_id)
        for rule, number in counts.items():
            telemetry.values_redacted.labels(rule).inc(number)

    def _redact(self, record: LogRecord, counts: Counts) -> None:
        for name in TEXTS:
            text = getattr(record, name)
            if text is not None and (changed := self.text(text, counts)) is not text:
                setattr(record, name, changed)
        for name in self._columns:
            if getattr(record, name) is not None:
                _clear(record, name)
                counts[KEY] += 1
        if record.extra is not None:
            self._clear_copies(record, record.extra)
            record.extra = self.pairs(record.extra, counts) or None
        if record.otlp is not None and "body" in record.otlp:
            record.otlp = {**record.otlp, "body": self.value(record.otlp["body"], counts)}

    def _clear_copies(self, record: LogRecord, extra: dict[str, object]) -> None:
        """Clear the columns that an attribute has filled whose name says that it is a secret."""
        given = {values.as_text(extra[name]) for name in extra if self._is_secret(name)}
        if given:
            for name in PROMOTABLE:
                if str(getattr(record, name)) in given:
                    _clear(record, name)

    def text(self, text: str, counts: Counts) -> str:
        """Give *text* without what a pattern finds; itself where that is nothing."""
        if len(text) < SHORTEST:
            return text
        for pattern in self._patterns:
            if not pattern.hints or any(hint in text for hint in pattern.hints):
                text = self._without(pattern, text, counts)
        return text

    def _without(self, pattern: Pattern, text: str, counts: Counts) -> str:
        def replaced(found: re.Match[str]) -> str:
            if pattern.holds is not None and not pattern.holds(found[0]):
                return found[0]
            counts[pattern.name] += 1
            return "" if self._stand_in is None else self._stand_in(found[0])

        return pattern.expression.sub(replaced, text)

    def value(self, value: object, counts: Counts) -> object:
        """Give a value in the encoding of `collector.values` without secrets."""
        if type(value) is str:
            return self.text(value, counts)
        if isinstance(value, list):
            return [self.value(each, counts) for each in value]
        if not isinstance(value, dict):
            return value
        inner = values.meant(value)
        return values.escaped(self.pairs(inner, counts)) if isinstance(inner, dict) else value

    def pairs(self, pairs: dict[str, object], counts: Counts) -> dict[str, object]:
        """Give *pairs* without secrets."""
        found: dict[str, object] = {}
        for name, value in pairs.items():
            if not self._is_secret(name) or value is None:
                found[name] = value if type(value) in _NO_TEXT else self.value(value, counts)
                continue
            counts[KEY] += 1
            if self._stand_in is not None:
                found[name] = self._stand_in(values.as_text(value))
        return found

    def _is_secret(self, name: str) -> bool:
        secret = self._secret.get(name)
        if secret is None:
            secret = self._keys.fullmatch(_normal(name)) is not None
            if len(self._secret) >= MOST_KNOWN:
                self._secret.clear()
            self._secret[name] = secret
        return secret

    def _masked(self, _value: str) -> str:
        return self._mask

    def _hashed(self, value: str) -> str:
        digest = hmac.new(self._hash_key, value.encode(), hashlib.sha256).hexdigest()
        return f"hash:{digest[:DIGITS]}"

    def _moved(self, shared: dict[int, Any], counts: Counts) -> dict[int | None, int | None]:
        """Put in *shared* what is to be stored instead; give the ids by those of before."""
        moved: dict[int | None, int | None] = {}
        for one in list(shared.values()):
            found: Counts = Counter()
            attributes = self.pairs(msgspec.json.decode(one.attributes), found)
            if not found:
                continue
            counts.update(found)
            del shared[one.id]
            instead = _instead(one, attributes)
            moved[one.id] = None if instead is None else instead.id
            if instead is not None:
                shared[instead.id] = instead
        return moved


def _clear(record: LogRecord, column: str) -> None:
    setattr(record, column, "unknown" if column == "service" else None)
    record.promoted = (record.promoted or 0) & ~(1 << PROMOTABLE.index(column)) or None


_NO_TEXT = frozenset({int, float, bool, type(None)})


def _instead(former: Resource | Scope, attributes: dict[str, object]) -> Resource | Scope | None:
    kept = {**msgspec.structs.asdict(former), "attributes": attributes}
    del kept["id"]
    origin = Origin(**kept)
    return interned_scope(origin) if isinstance(former, Scope) else interned_resource(origin)


def _normal(name: str) -> str:
    return re.sub(r"[_.-]", "", name.lower())


def _key(name: str) -> str:
    return ".*".join(re.escape(_normal(part)) for part in name.split("*"))
