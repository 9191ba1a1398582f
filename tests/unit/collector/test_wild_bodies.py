"""The decoders of both receivers and bodies that were right once; `make fuzz` has many more."""

from __future__ import annotations

import itertools
import random

import pytest

from tests.fuzz import mutations, ways


@pytest.mark.parametrize("seed", range(3))
def test_a_body_is_refused_or_can_be_stored(seed):
    """
    Of whatever bytes, a receiver makes records that Postgres takes, or says what is wrong.
    """
    for protocol, body in itertools.islice(mutations.endless(random.Random(seed)), 300):
        ways.taken(protocol.__name__, body)
