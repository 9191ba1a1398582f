"""Records put into the database the way the collector does it."""

from __future__ import annotations

from storage import copying, writer
from storage.layout import engine
from tests.builders import batch


async def store(pool, *records, **fields):
    """Store *records* in order, in one commit; give their ids."""
    async with writer.writing(pool, writer.WriterConfig(), lambda *_: None) as log_writer:
        await log_writer.submit(batch(*records, **fields))
    return [record.id for record in records]


async def filled(pool):
    """Give the name of the table that the collector's rows are put into."""
    return copying.TABLE[await engine(pool)]
