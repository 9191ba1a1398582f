"""
What can go wrong in storage, told by what the caller should do about it.

* StorageError
  + Unavailable    the same request may succeed later: retry it
    - Overloaded   too many bytes wait to be written: retry it after a second
    - Uncertain    the connection was lost during the commit, so it may be stored
    - Faulty       a fault of ours kept it from being written, and not the database
    - SpoolFull    neither the database nor the spool takes it: they may a little later
    - SpoolFailed  the same, for the disk under the spool fails
  + Rejected       the same rows will always fail: do not retry them
    - KeyReused    another request had this key; send it with a key of its own
  + Unsuitable     the database isn't what the configuration asks for: change either
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import asyncpg

if TYPE_CHECKING:
    from collections.abc import Iterator


class StorageError(Exception):
    """The base of all errors that leave this package."""


class Unavailable(StorageError):
    """Storage cannot do this now; the same request may succeed later."""


class Overloaded(Unavailable):
    """So many bytes wait to be written that no more are taken."""


class Uncertain(Unavailable):
    """What may be stored has ids; *backend* is the process of the server that may still do it."""

    def __init__(self, message: str, backend: int) -> None:
        super().__init__(message)
        self.backend = backend


class Faulty(Unavailable):
    """What we did wrong has kept the request from being written."""


class SpoolFull(Unavailable):
    """The spool is at one of its limits."""


class SpoolFailed(Unavailable):
    """The disk under the spool, or its file, does not take what it should."""


class Rejected(StorageError):
    """These rows, or this query's values, will always fail."""


class KeyReused(Rejected):
    """Another request had this key."""


class Unsuitable(StorageError):
    """The database can't be what the configuration asks for, until somebody changes either."""


# asyncpg encodes COPY rows and query arguments in the client, and lets Python's own
# errors out: a number outside its column, a lone surrogate.
_DATA_ERRORS = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
    asyncpg.UntranslatableCharacterError,
    OverflowError,
    UnicodeEncodeError,
)
# The last is asyncpg's when a connection is lost at a moment that it has not thought of.
_OTHERS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    OSError,
    TimeoutError,
    asyncpg.InternalClientError,
)


@contextmanager
def translated() -> Iterator[None]:
    """
    Raise asyncpg's errors as ours; the original stays as ``__cause__``.

    Only what the values themselves cause is Rejected. All else, a missing table
    included, someone can mend while the senders keep trying.
    """
    try:
        yield
    except _DATA_ERRORS as exc:
        raise Rejected(str(exc)) from exc
    except _OTHERS as exc:
        raise Unavailable(str(exc) or type(exc).__name__) from exc
