"""
Who may: decided by the headers of a request, before anything of its body is read.

A key comes as ``Authorization: Bearer``, as ``X-API-Key``, or as a browser's session. Who has none
that is known is told the same whether it never was one, was revoked or has expired.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from aiohttp import web

from collector.access import sessions
from collector.access.needs import ADMIN, SEND
from collector.access.rates import Rates
from collector.body import HELD
from collector.errors import Forbidden, Unauthorized
from collector.secrets import without_keys
from collector.sections import RateLimits
from storage import audit, restriction
from storage import sessions as storage_sessions
from storage.access_keys import AccessKey, digest
from storage.audit import LOCAL, Origin
from storage.errors import Unavailable
from storage.restriction import Restriction

if TYPE_CHECKING:
    from collector.access.known import Known
    from collector.access.needs import Needs
    from collector.access.sessions import Presented
    from storage.database import Pool

KEY = web.RequestKey("key", AccessKey)

NO_LIMITS = RateLimits()
_BEARER = "bearer "
NONE = "a key is needed: send it as `Authorization: Bearer KEY` or `X-API-Key: KEY`"
UNKNOWN = "this key is not known, or no longer"
NOT_YET = "the keys are not known yet"


class Guard:
    """Lets requests through by *known* keys, or all where that is None; *pool* has the audit."""

    def __init__(self, known: Known | None, pool: Pool, limits: RateLimits = NO_LIMITS) -> None:
        self.known = known
        self._rates = Rates(limits)
        self._pool = pool

    def admit(self, request: web.Request, needs: Needs) -> None:
        """
        Return if *request* has what it *needs*.

        Raises:
            Unauthorized: it has no key that holds.
            Forbidden: its key is not for this.
            TooMany: it wants to send more than its key may.
            Unavailable: its key can't be known yet; try again later.
        """
        if self.known is None or needs.scope is None:
            return
        key, known_by, until, session = self._presented(request)
        if needs.scope not in key.scopes and ADMIN.scope not in key.scopes:
            scopes = ", ".join(sorted(key.scopes))
            raise Forbidden(f"key {key.name} has the scope {scopes}, not {needs.scope}", "scope")
        if key.restricted:
            if not needs.some:
                raise Forbidden(
                    f"key {key.name} is for some services or envs, and this tells of all",
                    "restricted",
                )
            restriction.current.set(Restriction(key.services, key.envs))
        if needs is SEND:
            self._rates.admit(key.id, key.name)
        request[KEY] = key
        self.known.used.add(key.id)
        if request.method == "GET" and (task := asyncio.current_task()) is not None:
            self.known.hold(task, known_by, until, session)

    def leave(self, request: web.Request) -> None:
        """End what `admit` began; it is of no harm where that let nobody in."""
        if self.known is None:
            return
        if (key := request.get(KEY)) is not None:
            self._rates.sent(key.id, request[HELD])
        if (task := asyncio.current_task()) is not None:
            self.known.release(task)

    async def note(self, request: web.Request) -> None:
        """
        Write down what an admin asks for, before it is done.

        Raises:
            Unavailable: it can't be written down, and so is not to be done.
        """
        by = Origin(who(request), request.remote or "")
        action, detail = f"{request.method} {request.path}", request.query_string
        await audit.write(self._pool, by, without_keys(action), without_keys(detail))

    def holder(self, token: str) -> AccessKey:
        """
        Give the key that *token* is.

        Raises:
            Unauthorized: it is none that holds.
            Unavailable: it can't be known yet.
        """
        return self._holds(*self._of_token(token, self._ready()))[0]

    def recognized(self, request: web.Request) -> AccessKey | None:
        """Give the key that *request* has, if it has one that holds."""
        try:
            return self._presented(request)[0]
        except Unauthorized:
            return None

    async def end(self, request: web.Request) -> None:
        """
        End the session that *request* has, everywhere; a copy of its cookie is of no use then.

        Raises:
            Unavailable: that can't be written down, and it has not ended.
        """
        with suppress(Unauthorized):
            _, _, until, session = self._presented(request)
            if session is not None:
                await storage_sessions.end(self._pool, session, until)
                self._ready().ended.add(session)

    def _ready(self) -> Known:
        if self.known is None or not self.known.ready:
            raise Unavailable(NOT_YET)
        return self.known

    def _presented(self, request: web.Request) -> Presented:
        known, headers = self._ready(), request.headers
        token = headers.get("Authorization", "")
        if token[: len(_BEARER)].lower() == _BEARER:
            return self._holds(*self._of_token(token[len(_BEARER) :].strip(), known))
        if token := headers.get("X-API-Key", ""):
            return self._holds(*self._of_token(token, known))
        cookie = request.cookies.get(sessions.COOKIE) if "Cookie" in headers else None
        if cookie is None or not sessions.ours(request):
            raise Unauthorized(NONE, "no_key")
        # Of those that were ended the file of keys knows nothing.
        session = None if known.kept else sessions.found(cookie, known)
        if session is None:
            raise _unknown("unknown_session", known)
        return self._holds(*session)

    def _of_token(self, token: str, known: Known) -> Presented:
        digest_of = digest(token)
        if (found := known.find(digest_of)) is None:
            raise _unknown("unknown_key", known)
        return found[0], digest_of, found[1], None

    def _holds(
        self, key: AccessKey, known_by: bytes, until: float, session: str | None
    ) -> Presented:
        if time.time() >= until:
            raise Unauthorized(UNKNOWN, "expired_key")
        return key, known_by, until, session


def _unknown(reason: str, known: Known) -> Exception:
    """Give what is raised for who isn't *known*; where some may be missing, it may be yet."""
    return Unavailable(NOT_YET) if known.kept else Unauthorized(UNKNOWN, reason)


def who(request: web.Request) -> str:
    """Give the name of the key that *request* has, or `LOCAL`."""
    key = request.get(KEY)
    return LOCAL if key is None else key.name


def permitted(request: web.Request) -> Restriction | None:
    """Give what services and environments the request's key is for; None is all."""
    key = request.get(KEY)
    return Restriction(key.services, key.envs) if key is not None and key.restricted else None
