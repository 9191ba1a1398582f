"""Bring a database to the schema of this version; many may start at once."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

import migrations
from storage.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    import sqlalchemy as sa
    from alembic.config import Config

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
    if current(dsn) == head():
        return  # as at nearly every start
    import sqlalchemy as sa  # noqa: PLC0415  a third of the time that a command takes to start
    from alembic import command  # noqa: PLC0415

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
    try:
        with psycopg.connect(dsn, connect_timeout=CONNECT_TIMEOUT) as connection:
            found = connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()
    except psycopg.errors.UndefinedTable:
        return None
    except psycopg.Error as exc:
        raise _unavailable(exc) from exc
    return found[0] if found else None


def head() -> str:
    """Give the newest migration that this version has: they are numbered."""
    versions = Path(migrations.__file__).with_name("versions")
    return max(file.name for file in versions.glob("[0-9]*.py")).partition("_")[0]


def upgrade_sql() -> str:
    """Give the SQL that makes the schema from nothing, for who runs it by hand."""
    from alembic import command  # noqa: PLC0415

    text = io.StringIO()
    config = _config(None)
    config.output_buffer = text
    command.upgrade(config, "head", sql=True)
    return text.getvalue()


def _config(connection: sa.Connection | None) -> Config:
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.attributes.update(connection=connection, version_table=VERSION_TABLE)
    return config


@contextlib.contextmanager
def _connected(dsn: str) -> Iterator[sa.Connection]:
    import sqlalchemy as sa  # noqa: PLC0415

    scheme, _, rest = dsn.partition("://")
    url = f"postgresql+psycopg://{rest}" if scheme in {"postgresql", "postgres"} else dsn
    try:
        engine = sa.create_engine(
            url, poolclass=sa.NullPool, connect_args={"connect_timeout": CONNECT_TIMEOUT}
        )
        with engine.connect() as connection:
            yield connection
    except sa.exc.SQLAlchemyError as exc:
        raise _unavailable(getattr(exc, "orig", None) or exc) from exc


def _unavailable(exc: BaseException) -> Unavailable:
    return Unavailable((str(exc).strip() or type(exc).__name__).splitlines()[0])
