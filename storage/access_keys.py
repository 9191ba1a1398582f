"""
Keys by which somebody may send or ask: made, replaced, revoked, and loaded for who checks them.

A key is 256 random bits. The database has its SHA-256 alone, for which nobody finds a key, and
which needs no salt or slow hash, as passwords do, for nobody guesses one either.
"""

from __future__ import annotations

import datetime as dt  # noqa: TC003  msgspec reads the annotations
import hashlib
import secrets
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import msgspec

from storage import audit
from storage.errors import Rejected, translated

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from storage.audit import Origin
    from storage.database import Pool

PREFIX = "pxc_"  # by which scanners of source code, and our redaction, know a key
BYTES = 32

Scope: TypeAlias = Literal["ingest", "query", "metrics", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
OF_ALL = frozenset({"metrics", "admin"})  # no key with these is for some services or envs

COLUMNS = (
    "id, name, digest, former, former_until, scopes, services, envs, created_at, expires_at,"
    " last_used_at, revoked_at"
)
LIST = f"SELECT {COLUMNS} FROM access_keys ORDER BY revoked_at IS NOT NULL, name, id"
KNOWN = f"SELECT {COLUMNS} FROM access_keys WHERE revoked_at IS NULL"
CREATE = f"""
INSERT INTO access_keys (name, digest, scopes, services, envs, expires_at)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (name) WHERE revoked_at IS NULL DO NOTHING RETURNING {COLUMNS}
"""
ROTATE = f"""
UPDATE access_keys SET former = digest, former_until = now() + $3, digest = $2,
    expires_at = coalesce($4, expires_at)
WHERE name = $1 AND revoked_at IS NULL RETURNING {COLUMNS}
"""
REVOKE = "UPDATE access_keys SET revoked_at = now() WHERE name = $1 AND revoked_at IS NULL"
USED = "UPDATE access_keys SET last_used_at = now() WHERE id = ANY ($1::bigint[])"


class AccessKey(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a key; without *services* or *envs* it is for all of them."""

    id: int
    name: str
    digest: bytes
    former: bytes | None  # the digest of the key before it,
    former_until: dt.datetime | None  # which holds until then
    scopes: frozenset[str]
    services: tuple[str, ...]
    envs: tuple[str, ...]
    created_at: dt.datetime
    expires_at: dt.datetime | None
    last_used_at: dt.datetime | None  # to a minute or so
    revoked_at: dt.datetime | None

    @property
    def restricted(self) -> bool:
        """Whether it is for some services or environments only."""
        return bool(self.services or self.envs)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A key to be made."""

    name: str
    scopes: Sequence[Scope]
    services: Sequence[str] = ()
    envs: Sequence[str] = ()
    expires_at: dt.datetime | None = None


def digest(token: str) -> bytes:
    """Give what is stored of a key."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()


async def create(pool: Pool, wanted: Wanted, by: Origin) -> str:
    """
    Make a key, and give it: it is not to be had again.

    Raises:
        Rejected: there is one of this name, or its scope can't be for some services only.
    """
    if (wanted.services or wanted.envs) and (every := OF_ALL.intersection(wanted.scopes)):
        raise Rejected(f"scope {min(every)} is of all services and envs, or of none")
    token = _token()
    with translated():
        async with pool.acquire() as connection, connection.transaction():
            made = await connection.fetchrow(
                CREATE,
                wanted.name,
                digest(token),
                list(wanted.scopes),
                list(wanted.services),
                list(wanted.envs),
                wanted.expires_at,
            )
            if made is None:
                raise Rejected(f"there is a key {wanted.name} already; rotate or revoke it")
            await audit.write_on(connection, by, "keys create", _described(_key(made)))
    return token


async def rotate(
    pool: Pool, name: str, by: Origin, *, keep: dt.timedelta, expires_at: dt.datetime | None = None
) -> str:
    """
    Make a key in the place of *name*, which holds for as long as *keep* beside it; give the new.

    Raises:
        Rejected: there is none of this name.
    """
    token = _token()
    with translated():
        async with pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(ROTATE, name, digest(token), keep, expires_at)
            if row is None:
                raise Rejected(f"there is no key {name}")
            detail = f"{_described(_key(row))}, the former one for {keep}"
            await audit.write_on(connection, by, "keys rotate", detail)
    return token


async def revoke(pool: Pool, name: str, by: Origin) -> None:
    """
    Let *name* be of no use from now on, and all sessions with it.

    Raises:
        Rejected: there is none of this name.
    """
    with translated():
        async with pool.acquire() as connection, connection.transaction():
            if await connection.execute(REVOKE, name) != "UPDATE 1":
                raise Rejected(f"there is no key {name}")
            await audit.write_on(connection, by, "keys revoke", name)


async def all_of(pool: Pool) -> list[AccessKey]:
    """Give all keys by name, those that were revoked last."""
    with translated():
        return [_key(row) for row in await pool.fetch(LIST)]


async def known(pool: Pool) -> list[AccessKey]:
    """Give the keys that were not revoked."""
    with translated():
        return [_key(row) for row in await pool.fetch(KNOWN)]


async def used(pool: Pool, ids: Collection[int]) -> None:
    """Note that these keys are used now."""
    with translated():
        await pool.execute(USED, list(ids))


def _token() -> str:
    return PREFIX + secrets.token_hex(BYTES)


def _key(row: Any) -> AccessKey:
    lists = {name: tuple(row[name]) for name in ("services", "envs")}
    return AccessKey(**{**dict(row), **lists, "scopes": frozenset(row["scopes"])})


def _described(key: AccessKey) -> str:
    parts = [key.name, f"scopes {', '.join(sorted(key.scopes))}"]
    parts += [f"services {', '.join(key.services)}"] if key.services else []
    parts += [f"envs {', '.join(key.envs)}"] if key.envs else []
    parts += [f"until {key.expires_at:%Y-%m-%d %H:%M} UTC"] if key.expires_at else []
    return "; ".join(parts)
