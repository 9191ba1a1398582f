"""Bring a database to the schema of this version; many may start at once."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

import migrations
from storage.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

# A name of our own: services keep Alembic tables of theirs in the same database.
VERSION_TABLE = "pixsim_collector_alembic_version"
CONNECT_TIMEOUT = 10  # seconds; a server that hangs would be waited for for ever
LOCK = 7_166_349_251_015_424  # any number; every collector takes the same advisory lock


def upgrade(dsn: str) -> None:
    """
    Run the migrations that are missing, each in a transaction; wait for whoever does so now.

    Raises:
        Unavailable: the database cannot be reached, or a migration failed and left no trace.
    """
    with _connected(dsn) as connection:
        connection.execute(sa.text("SELECT pg_advisory_lock(:key)"), {"key": LOCK})
        connection.commit()
        try:
            command.upgrade(_config(connection), "head")
        finally:
            connection.rollback()
            connection.execute(sa.text("SELECT pg_advisory_unlock(:key)"), {"key": LOCK})


def current(dsn: str) -> str | None:
    """Give the newest migration that *dsn* has, or ``None``."""
    with _connected(dsn) as connection:
        options = {"version_table": VERSION_TABLE}
        return MigrationContext.configure(connection, opts=options).get_current_revision()


def head() -> str:
    """Give the newest migration that this version has."""
    found: str | None = ScriptDirectory.from_config(_config(None)).get_current_head()
    assert found is not None  # noqa: S101  there are some
    return found


def upgrade_sql() -> str:
    """Give the SQL that makes the schema from nothing, for who runs it by hand."""
    text = io.StringIO()
    config = _config(None)
    config.output_buffer = text
    command.upgrade(config, "head", sql=True)
    return text.getvalue()


def _config(connection: sa.Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.attributes.update(connection=connection, version_table=VERSION_TABLE)
    return config


@contextlib.contextmanager
def _connected(dsn: str) -> Iterator[sa.Connection]:
    scheme, _, rest = dsn.partition("://")
    url = f"postgresql+psycopg://{rest}" if scheme in {"postgresql", "postgres"} else dsn
    try:
        engine = sa.create_engine(
            url, poolclass=sa.NullPool, connect_args={"connect_timeout": CONNECT_TIMEOUT}
        )
        with engine.connect() as connection:
            yield connection
    except sa.exc.SQLAlchemyError as exc:
        cause = getattr(exc, "orig", None) or exc
        raise Unavailable(str(cause).strip().splitlines()[0]) from exc
