"""
Sessions of browsers: a cookie that stands for a key, so that no script of a page has the key.

It is signed with the key's digest, so that every process can tell whether it is good, and none
keeps it; it ends with its key, or when somebody signs out, which the database knows. Only pages of
this very address may use it, for browsers send it for other pages of the same host too.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from aiohttp import web

    from collector.access.known import Known
    from storage.access_keys import AccessKey

# A key, its digest, the end in seconds since 1970, and the session, where it is one.
Presented: TypeAlias = tuple["AccessKey", bytes, float, str | None]

COOKIE = "pixsim_session"
AGE = 12 * 3600  # seconds
LONGEST = 60  # characters before the signature
OWN = {None, "same-origin", "none"}  # of Sec-Fetch-Site; browsers before 2023 have none


def begun(key: AccessKey, now: float) -> str:
    """Give the value of a cookie that stands for *key* from *now* on, in seconds since 1970."""
    head = f"{key.id}.{int(now) + AGE}.{secrets.token_hex(8)}"
    return f"{head}.{_signed(head, key.digest)}"


def found(value: str, known: Known) -> Presented | None:
    """Give what a cookie stands for; None of one that is none of ours, or was ended."""
    head, _, signature = value.rpartition(".")
    number, _, rest = head.partition(".")
    end, _, name = rest.partition(".")
    if not (number.isdecimal() and end.isdecimal() and name and len(head) < LONGEST):
        return None
    if name in known.ended or (key := known.named(int(number))) is None:
        return None
    for digest in (key.digest, key.former):
        if digest and hmac.compare_digest(_signed(head, digest), signature):
            holds = known.find(digest)
            return None if holds is None else (key, digest, min(holds[1], float(end)), name)
    return None


def ours(request: web.Request) -> bool:
    """Tell whether a page of this address asks, as browsers say."""
    origin = request.headers.get("Origin")
    return request.headers.get("Sec-Fetch-Site") in OWN and (
        origin is None or urlsplit(origin).netloc == request.host
    )


def _signed(head: str, digest: bytes) -> str:
    return hmac.new(digest, b"session " + head.encode(), hashlib.sha256).hexdigest()
