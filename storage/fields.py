"""
The fields that a search may name, and their expressions in SQL.

A name is a column's, or ``extra.KEY``, ``resource.KEY`` or ``scope.KEY`` for a key of the
record's extra fields, of its resource's attributes or of its scope's, where ``scope.name``
and ``scope.version`` are the scope's own. Any other name is a key of ``extra``, and with a
dot in it, as OpenTelemetry's names have, one of the resource's attributes too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

from storage.where import joined

if TYPE_CHECKING:
    from collections.abc import Callable

    from storage.where import Where

TEXTS = (
    "service",
    "env",
    "msg",
    "request_id",
    "trace_id",
    "span_id",
    "provider_job_id",
    "provider_id",
    "operation_type",
    "stage",
    "channel",
    "domain",
    "error",
    "error_type",
    "instance_id",
    "event_name",
)
# An id that was sent as something else than a whole number stays in `extra` under its name,
# and is looked for there.
IDS = (
    "job_id",
    "submission_id",
    "artifact_id",
    "generation_id",
    "user_id",
    "attempt",
)
NUMBERS = ("id", "severity_number", "flags")
TIMES = ("timestamp", "observed_timestamp", "created_at")

# One id with an older and a newer name: a value sent under either is found under both.
ALIKE = dict.fromkeys(("artifact_id", "generation_id"), ("artifact_id", "generation_id"))

Kind: TypeAlias = Literal["text", "level", "id", "duration", "number", "time", "key"]
KINDS: dict[str, Kind] = {
    **dict.fromkeys(TEXTS, "text"),
    **dict.fromkeys(IDS, "id"),
    **dict.fromkeys(NUMBERS, "number"),
    **dict.fromkeys(TIMES, "time"),
    "level": "level",
    "duration_ms": "duration",  # milliseconds, or as an id the text that is no number
}
COLUMNS = tuple(KINDS)

Place: TypeAlias = Literal["column", "extra", "resource", "scope"]
PLACES: tuple[Place, ...] = ("extra", "resource", "scope")


# A scope's own fields; its other keys are attributes.
OF_SCOPE = {"name": "nullif(s.name, '')", "version": "nullif(s.version, '')"}
DOCUMENTS = {"extra": "extra", "resource": "r.attributes", "scope": "s.attributes"}

Test: TypeAlias = "Callable[[str], str]"  # from an expression to a condition on it


class Field(msgspec.Struct, frozen=True):
    """
    What a name stands for: *name* without its place, and the places to look in.

    Where there are two places either will do.
    """

    kind: Kind
    name: str
    places: tuple[Place, ...]


def field(name: str) -> Field:
    """Tell what *name* stands for; see the module."""
    if name in KINDS:
        return Field(KINDS[name], name, ("column",))
    place, dot, key = name.partition(".")
    for each in PLACES:
        if dot and place == each:
            return Field("key", key, (each,))
    return Field("key", name, ("extra", "resource") if dot else ("extra",))


def value(where: Where, name: str) -> str:
    """Give the expression of the field *name*, null where there is none; keys have text."""
    wanted = field(name)
    forms = {
        "column": "{}",
        "extra": "{}",
        "resource": "(SELECT {} FROM resources r WHERE r.id = resource_id)",
        "scope": "(SELECT {} FROM scopes s WHERE s.id = scope_id)",
    }
    found = [forms[place].format(each) for place, each in _expressions(where, wanted)]
    return f"coalesce({', '.join(found)})"


def holds(where: Where, wanted: Field, test: Test) -> str:
    """Give the condition that the field, as its column or else as text, passes *test*."""
    forms = {
        "column": "{}",
        "extra": "{}",
        "resource": "resource_id = ANY (ARRAY(SELECT r.id FROM resources r WHERE {}))",
        "scope": "scope_id = ANY (ARRAY(SELECT s.id FROM scopes s WHERE {}))",
    }
    found = [forms[place].format(test(each)) for place, each in _expressions(where, wanted)]
    return joined("OR", found)


def kept(wanted: Field, test: Test) -> str:
    """Give the condition that the text which ``extra`` keeps of an id passes *test*."""
    names = ALIKE.get(wanted.name, (wanted.name,))
    return joined("OR", [f"{each} IS NULL AND {test(_twin(each))}" for each in names])


def text(where: Where, wanted: Field, test: Test) -> str:
    """
    Give the condition that the field's text, which of an id may be in ``extra``, passes *test*.

    Raises:
        ValueError: it is a number or a time.
    """
    if wanted.kind in {"number", "duration", "time"}:
        raise ValueError(f"{wanted.name} has no text")
    if wanted.kind != "id":
        return holds(where, wanted, test)
    names = ALIKE.get(wanted.name, (wanted.name,))
    return joined("OR", [test(f"coalesce({each}::text, {_twin(each)})") for each in names])


def _expressions(where: Where, wanted: Field) -> list[tuple[Place, str]]:
    """Give what the field is in each of its places."""
    if wanted.kind != "key":
        return [("column", each) for each in ALIKE.get(wanted.name, (wanted.name,))]
    if wanted.places == ("scope",) and wanted.name in OF_SCOPE:
        return [("scope", OF_SCOPE[wanted.name])]
    key = f"{where.bind(wanted.name)}::text"
    return [(place, f"({DOCUMENTS[place]} ->> {key})") for place in wanted.places]


def _twin(name: str) -> str:
    return f"(extra ->> '{name}')"
