"""What searches find in a real Postgres is what they mean."""

from __future__ import annotations

import asyncio

import asyncpg
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from collector.search import Mistake, parse
from storage import encoding, filters
from storage.database import connected
from tests.builders import NOON
from tests.searching import RESOURCES, SCOPES, made, meets, records, searches
from tests.stored import filled, store
from tests.unit.collector.test_search_properties import soup

SETTINGS = settings(
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.generate],  # to make a failing case smaller would take minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


async def found(connection, search):
    where = filters.where(search, NOON)
    rows = await connection.fetch(f"SELECT id FROM log_entries WHERE {where}", *where.arguments)
    return {row[0] for row in rows}


@settings(SETTINGS, max_examples=12)
@given(
    drawn=st.lists(records, min_size=10, max_size=20),
    asked=st.lists(searches, min_size=25, max_size=30),
)
def test_agreement(database, drawn, asked):
    """
    A search finds exactly the records that a plain reading of it in Python does.
    """

    rows = [made(fields) for fields in drawn]

    async def ask():
        async with (
            connected(database, size=2, init=encoding.prepare) as writing,
            connected(database, size=1) as reading,
        ):
            await writing.execute(f"DELETE FROM {await filled(writing)}")
            await store(writing, *rows, resources=RESOURCES, scopes=SCOPES)
            return [await found(reading, search) for search in asked]

    for search, ids in zip(asked, asyncio.run(ask()), strict=True):
        note(f"{search}")
        assert {row.id for row in rows if meets(search, row, NOON)} == ids


@settings(SETTINGS, max_examples=12)
@given(texts=st.lists(soup | st.text(), min_size=20, max_size=40))
def test_any_text_is_accepted(database, texts):
    """
    Postgres takes the statement of every text that is a search.
    """
    parsed = []
    for text in texts:
        try:
            parsed.append(parse(text))
        except Mistake:
            continue

    async def ask():
        connection = await asyncpg.connect(database)
        try:
            return [await found(connection, search) for search in parsed]
        finally:
            await connection.close()

    assert [set()] * len(parsed) == asyncio.run(ask())
