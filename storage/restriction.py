"""
What a key for some services or environments sees: a database in which there is nothing else.

Who asks with such a key reads as a role of its own, which has no right to ``log_entries`` but to
a view of that name, in a schema that goes before ours. So no question can forget the restriction,
and every index serves as before.

Policies (row-level security) would not do: who inserts into the table without owning it could
use COPY no more, compressed hypertables can't have them, and they keep conditions from indexes.
Beyond rows, they hide them from functions that tell what they are given; there are none here,
for nobody brings SQL of their own.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from migrations import reader
from storage import search as s
from storage.errors import Unavailable, Unsuitable, translated
from storage.layout import engine

if TYPE_CHECKING:
    from storage.database import Pool
    from storage.search import Search

ROLE = reader.RESTRICTED
HELP = "see docs/access.md"

# What holds where a setting is missing is nothing at all: reading it fails.
_LISTED = """
    ((SELECT current_setting('pixsim.{0}s')) = '*' OR {0} = ANY ((
        SELECT nullif(current_setting('pixsim.{0}s'), '*'))::text[]))"""
# The roll-ups have no envs: to who is restricted nothing is counted, and so the rows are.
VIEWS = f"""
CREATE OR REPLACE VIEW {{0}}.log_entries AS SELECT * FROM {{1}}.log_entries
    WHERE {_LISTED.format("service")} AND {_LISTED.format("env")};
CREATE OR REPLACE VIEW {{0}}.roll_up_position AS SELECT * FROM {{1}}.roll_up_position WHERE false;
CREATE OR REPLACE VIEW {{0}}.roll_up_partitions AS
    SELECT * FROM {{1}}.roll_up_partitions WHERE false;
GRANT USAGE ON SCHEMA {{0}} TO {ROLE};
GRANT SELECT ON ALL TABLES IN SCHEMA {{0}} TO {ROLE};
GRANT SELECT ON {{1}}.resources, {{1}}.scopes TO {ROLE};
"""
SCHEMAS = """
SELECT quote_ident(current_schema() || '_restricted'), quote_ident(current_schema()),
    to_regnamespace(quote_ident(current_schema() || '_restricted')) IS NOT NULL
"""
MAY_BECOME = "SELECT pg_has_role(current_user, $1, 'MEMBER')"
ENTER = """
SELECT set_config('search_path', concat_ws(', ', quote_ident(current_schema() || '_restricted'),
        current_setting('search_path')), true),
    set_config('pixsim.services', coalesce(nullif($1::text[], '{}')::text, '*'), true),
    set_config('pixsim.envs', coalesce(nullif($2::text[], '{}')::text, '*'), true),
    set_config('role', $3, true)
"""
ENTERED = """
SELECT relkind = 'v' AND relnamespace::regnamespace::text ~ '_restricted"?$'
FROM pg_class WHERE oid = to_regclass('log_entries')
"""


class Restriction(msgspec.Struct, frozen=True):
    """The services and environments whose records are seen; of none given all."""

    services: tuple[str, ...]
    envs: tuple[str, ...]

    @property
    def search(self) -> Search:
        """The same as a search, for who reads for several at a time."""
        given = (("service", self.services), ("env", self.envs))
        return s.both(*(s.Equals(name, values) for name, values in given if values))


# Of whoever this task asks for. What it starts is under the same one.
current: ContextVar[Restriction | None] = ContextVar("restriction", default=None)


async def enter(connection: Any, restriction: Restriction) -> None:
    """
    Let *connection* see no more than *restriction* until its transaction ends.

    Raises:
        Unavailable: the database isn't made ready for that.
    """
    try:
        await connection.fetchrow(ENTER, list(restriction.services), list(restriction.envs), ROLE)
        ready = await connection.fetchval(ENTERED)
    except asyncpg.PostgresError as exc:
        raise Unavailable(f"the database can restrict no key: {exc}; {HELP}") from exc
    if not ready:
        raise Unavailable(f"the database is not made ready for restricted keys; {HELP}")


async def prepare(pool: Pool) -> None:
    """
    Make the database ready, or ready again after a migration; what is there stays.

    Raises:
        Unsuitable: our user may not do that.
    """
    try:
        with translated():
            async with pool.acquire() as connection, connection.transaction():
                if await engine(connection) == "citus":  # as another role we reach no worker
                    raise Unsuitable(
                        "with the engine citus no key that queries can be restricted;"
                        " see docs/citus.md"
                    )
                await connection.execute(reader.created(ROLE))
                restricted, ours, _ = await _schemas(connection)
                await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {restricted}")
                await connection.execute(VIEWS.format(restricted, ours))
                may = await connection.fetchval(MAY_BECOME, ROLE)
    except Unavailable as exc:
        if isinstance(exc.__cause__, asyncpg.PostgresError):
            raise Unsuitable(f"the database can restrict no key: {exc}; {HELP}") from exc
        raise
    if not may:
        raise Unsuitable(f"the collector's user may not become {ROLE}; {HELP}")


async def renew(pool: Pool) -> None:
    """Do as `prepare` where that was done before: tables may have new columns."""
    with translated():
        _, _, prepared = await _schemas(pool)
    if prepared:
        await prepare(pool)


async def withdraw(connection: Any) -> bool:
    """Take back what `prepare` has made, so that such keys are refused; tell if there was any."""
    restricted, _, prepared = await _schemas(connection)
    if prepared:
        await connection.execute(f"DROP SCHEMA {restricted} CASCADE")
    return prepared


async def _schemas(connection: Any) -> tuple[str, str, bool]:
    restricted, ours, prepared = await connection.fetchrow(SCHEMAS)
    return restricted, ours, prepared
