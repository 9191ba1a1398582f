"""Secrets never leave the process."""

from __future__ import annotations

import dataclasses
import datetime as dt
import uuid

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pixsim_otel import redaction
from pixsim_otel.redaction import MASK, NAMES, Redaction, redact_sensitive


def masked(**event):
    return Redaction()(None, "info", event)


@pytest.mark.parametrize(
    "name",
    ["password", "Password", "API_KEY", "apiKey", "api-key", "X-Api-Key", "Authorization",
     "jwt_token", "access_token", "refreshToken", "Set-Cookie", "cookie", "credentials", "secret"],
)  # fmt: skip
def test_names(name):
    """A secret is known by its key, whatever the case and whatever joins the words."""
    assert {name: MASK, "user": "kit"} == masked(**{name: "s3cret", "user": "kit"})


@pytest.mark.parametrize("name", ["token_count", "secretary", "password_changed", "keys", "a"])
def test_other_names(name):
    """Only a whole name is a secret's."""
    assert {name: "kept"} == masked(**{name: "kept"})


def test_any_depth():
    """A secret is masked however deep it is nested, in lists as in dicts."""
    event = masked(request={"headers": [{"Authorization": "Bearer x", "Accept": "*/*"}]})

    assert {
        "request": {"headers": [{"Authorization": MASK, "Accept": "*/*"}]},
    } == event


def test_secret_of_any_type():
    """The value of a secret is not looked at."""
    assert {"credentials": MASK} == masked(credentials={"user": "kit", "pass": "x"})


@dataclasses.dataclass
class Login:
    user: str
    password: str


class Token(msgspec.Struct):
    access_token: str


def test_objects():
    """An object's fields are masked as a dict's keys are."""
    event = masked(login=Login("kit", "s3cret"), tokens=[Token("abc")])

    assert {
        "login": {"user": "kit", "password": MASK},
        "tokens": [{"access_token": MASK}],
    } == event


def test_caller_keeps_its_values():
    """What was passed to the log call is not changed."""
    headers = {"authorization": "x", "more": [{"secret": 1}]}

    masked(headers=headers)

    assert {"authorization": "x", "more": [{"secret": 1}]} == headers


def test_values_become_plain():
    """What JSON has no type for is made plain; what goes to other processors is left."""
    number = uuid.UUID(int=5)
    error = (ValueError, ValueError("x"), None)

    event = masked(id=number, at=dt.date(2025, 11, 13), exc_info=error)

    assert {"id": str(number), "at": "2025-11-13", "exc_info": error} == event


def test_known_keys_are_bounded(monkeypatch):
    """Keys that hold data don't fill the memory."""
    monkeypatch.setattr(redaction, "MOST_KNOWN", 10)
    chosen = Redaction()

    for number in range(100):
        chosen(None, "info", {f"asset_{number}": 1})

    assert len(chosen._harmless) <= 10


def test_redact_sensitive():
    """The function that services call masks in place and gives the event back."""
    event = {"password": "x", "nested": {"secret": "y"}}

    assert redact_sensitive(event) is event
    assert {"password": MASK, "nested": {"secret": MASK}} == event


SECRETS = st.sampled_from(NAMES).map(lambda name: name.upper()) | st.sampled_from(NAMES)
VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5) | SECRETS, inner, max_size=3)
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.text(max_size=5) | SECRETS, VALUES, max_size=5))
def test_no_secret_is_left(event):
    """Whatever is logged, no value of a secret's name is left in it."""

    def secrets(value):
        if isinstance(value, dict):
            for key, each in value.items():
                if key.lower() in NAMES:
                    yield each
                yield from secrets(each)
        elif isinstance(value, list):
            for each in value:
                yield from secrets(each)

    assert {MASK} >= set(map(str, secrets(masked(**event))))
