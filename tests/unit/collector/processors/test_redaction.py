"""What the processor takes out is gone from all of a record, and nothing else is."""

from __future__ import annotations

import copy

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector import values
from collector.processors.redaction import TEXTS, Redaction, Redactor
from collector.receivers.otlp.mapping import Origin, interned_resource, interned_scope
from storage.records import LogRecord
from tests.builders import batch, record

SECRETS = {
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P",
    "authorization": "Bearer abcdefgh12345678",
    "api_key": "ghp_0123456789abcdefghijABCDEFGHIJ012345",
    "private_key": "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----",
    "url_password": "postgresql://bob:hunter2@db/logs",
    "card": "4111 1111 1111 1111",
    "email": "bob.smith+x@mail.example.com",
}
# What must not be told apart from these by chance.
HARMLESS = [
    "job 12345678901234567890 moved on after 4111 ms",
    "4111 1111 1111 1112",  # no card's check digit
    "2025-11-13T12:00:00.123456Z",
    "0af7651916cd43dd8448eb211c80319c",
    "https://db.example.com:5432/logs?x=1",
    "user@localhost is not an address, a@b either",
    "the bearer of this, basically",
    "v1.2.3-4111111111111111",
]
letters = st.text("abc xyz,.\n", max_size=10)


def redacted(*records, config=None, **fields):
    found = batch(*records, **fields)
    Redactor(config or Redaction())(found)
    return found


def whole(found):
    """All of a batch as text."""
    return msgspec.json.encode(msgspec.to_builtins(found, enc_hook=str)).decode()


def test_our_own_keys():
    """
    A key of a collector is one of the keys that go.
    """
    found = redacted(record(msg=f"sent pxc_{'0a' * 32}")).records[0]

    assert "sent ***" == found.msg


@pytest.mark.parametrize("name", SECRETS)
def test_each_pattern_finds_its_own(name):
    """
    A pattern takes out what it stands for, from the middle of a text, and leaves the text around.
    """
    config = Redaction(keys=(), patterns=(name,))
    found = redacted(record(msg=f"before, {SECRETS[name]} after"), config=config).records[0]

    assert "***" in found.msg
    assert found.msg.startswith("before, ")
    assert found.msg.endswith(" after")
    assert SECRETS[name] not in found.msg


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_looks_like_it_stays(text):
    """
    Ids, times, addresses without passwords and numbers that are no card's are left alone.
    """
    before = record(msg=text, extra={"text": text, "n": 4111111111111111})

    assert [before] == redacted(copy.deepcopy(before)).records


@given(
    name=st.sampled_from(sorted(SECRETS)),
    before=letters,
    after=letters,
    place=st.sampled_from(
        [*TEXTS, "extra", "list", "map", "reserved", "body", "resource", "scope"]
    ),
    action=st.sampled_from(["mask", "hash", "drop"]),
)
def test_no_secret_is_left_anywhere(name, before, after, place, action):
    """
    Wherever in a record or its resource a secret stands, nothing of it is left.
    """
    text = f"{before} {SECRETS[name]} {after}"
    fields, resources, scopes = {}, {}, {}
    match place:
        case "extra":
            fields["extra"] = {"a": text}
        case "list":
            fields["extra"] = {"a": [1, [text]]}
        case "map":
            fields["extra"] = {"a": {"b": {"c": text, "d": 1}}}
        case "reserved":
            fields["extra"] = {"a": values.escaped({"$b": text})}
        case "body":
            fields["otlp"] = {"body": {"a": [text]}}
        case "resource":
            resource = interned_resource(Origin(attributes={"a": text, "b": 1}))
            fields["resource_id"], resources = resource.id, {resource.id: resource}
        case "scope":
            scope = interned_scope(Origin(attributes={"a": text}, name="n", version="1"))
            fields["scope_id"], scopes = scope.id, {scope.id: scope}
        case _:
            fields[place] = text
    config = Redaction(action=action, hash_key="k")
    found = redacted(record(**fields), config=config, resources=resources, scopes=scopes)
    core = SECRETS[name].removeprefix("postgresql://").removesuffix("@db/logs")

    assert msgspec.json.encode(core).decode().strip('"') not in whole(found)
    for one in found.records:
        assert one.resource_id is None or one.resource_id in found.resources
        assert one.scope_id is None or "n" == found.scopes[one.scope_id].name
    for key, one in found.resources.items():
        again = interned_resource(Origin(attributes=msgspec.json.decode(one.attributes)))
        assert key == one.id == again.id


@pytest.mark.parametrize("name", ["password", "API-Key", "db_password2", "x.access.token", "Token"])
def test_names_tell_secrets(name):
    """
    A name tells a secret at any depth, in any case, however its words are joined; what is no
    name of one tells none.
    """
    found = redacted(record(extra={name: "s3", "a": [{name: {"b": "s3"}}]})).records[0].extra
    secret = name != "db_password2"

    assert secret is ("s3" not in str(found))
    assert ([name, "a"]) == list(found)


def test_an_attribute_that_is_secret_leaves_no_copy_in_its_column():
    """
    What a secret attribute has filled a column with goes from there too.
    """
    config = Redaction(keys=("enduser.id", "attempt"), patterns=())
    one = record(extra={"enduser.id": 7}, user_id=7, attempt=3, promoted=1 << 15, job_id=8)
    found = redacted(one, config=config).records[0]

    assert (None, None, None, 8) == (found.user_id, found.attempt, found.promoted, found.job_id)
    assert {"enduser.id": "***"} == found.extra


def test_hashes_are_the_same_for_the_same_and_no_others():
    """
    A hash tells equal values, and depends on the key.
    """

    def hashed(value, key="k"):
        config = Redaction(action="hash", hash_key=key)
        return redacted(record(extra={"password": value}), config=config).records[0].extra

    assert hashed("a") == hashed("a")
    assert 3 == len({str(hashed("a")), str(hashed("b")), str(hashed("a", "other"))})


def test_dropping_leaves_a_map_that_is_read_as_it_was_meant():
    """
    A map that loses its other names is not taken for one of the encoding's own.
    """
    config = Redaction(action="drop")
    before = {"a": {"$bytes": "aGk=", "password": "s3"}}
    found = redacted(record(extra=before), config=config).records[0].extra

    assert {"a": {values.MAP: {"$bytes": "aGk="}}} == found


def test_own_expressions_count_by_their_names(monkeypatch):
    """
    Expressions of the configuration are patterns too.
    """
    config = Redaction(expressions={"ticket": r"TICKET-\d+"})

    assert "see ***" == redacted(record(msg="see TICKET-123"), config=config).records[0].msg


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"patterns": ("jwd",)}, "no pattern `jwd`"),
        ({"expressions": {"a": "("}}, "`a` is no regular expression"),
        ({"expressions": {"a": "x*"}}, "`a` matches the empty text"),
        ({"expressions": {"jwt": "x"}}, "`jwt` is a name of ours"),
        ({"action": "hash"}, "needs a `hash_key`"),
    ],
)
def test_settings_that_cannot_be_meant(settings, problem):
    """
    What would do nothing, or something else than it says, is refused.
    """
    with pytest.raises(ValueError, match=problem):
        Redaction(**settings)


def test_a_record_without_secrets_is_not_copied():
    """
    A record of plain text passes as it is.
    """
    one = LogRecord(**{**msgspec.structs.asdict(record(msg="hello")), "extra": {"a": "b"}})

    assert one == redacted(copy.deepcopy(one)).records[0]
