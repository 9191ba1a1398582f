"""
HTTP: one aiohttp application an endpoint, whatever components listen there.

A question is dropped when who asked it hangs up, and with it its query in the database. What
somebody has sent is stored to the end, whether or not they wait for the answer.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import random
import re
import time
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from collector import answers, sockets, telemetry
from collector.access.guard import Guard
from collector.access.needs import ADMIN, OPEN, Needs
from collector.body import HELD, InFlight, read
from collector.connections import QUESTIONS, Connection, Crowd
from collector.errors import Forbidden, Unauthorized
from collector.sections import Connections
from collector.tls import Certificates
from storage.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence

    from aiohttp.typedefs import Middleware
    from prometheus_client import Counter, Histogram

    from collector.control import Control
    from collector.sections import Cors, HttpServer
    from collector.sockets import Balance, Sockets

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

IN_FLIGHT = web.AppKey("in_flight", InFlight)
STOPPING = web.AppKey("stopping", asyncio.Event)
LEAVING = web.AppKey("leaving", asyncio.Event)
READ_TIMEOUT = web.AppKey("read_timeout", float)
CORS: web.AppKey[Callable[[web.Request], dict[str, str]]] = web.AppKey("cors")
GUARD = web.AppKey("guard", Guard)
NEEDS = web.AppKey("needs", dict[web.AbstractRoute, Needs])

DEFAULT = Connections()
HUNG_UP = 499  # the status that is counted where nobody was left to answer, as nginx does
METHODS = "GET, POST, PUT, PATCH, DELETE, OPTIONS"
EXPOSED = "X-Request-ID, X-Trace-ID, X-Incomplete, Retry-After"
LONGEST_ID = 200  # characters of an X-Request-ID that is echoed
_ID = re.compile(rf"[\x21-\x7e]{{1,{LONGEST_ID}}}")


def _of_admins(_method: str, _path: str) -> Needs:
    return ADMIN


class Listener(msgspec.Struct, frozen=True):
    """
    What one component wants served, and where; *needs* tells what a key must have for that.

    It is given a method, which of HEAD is that of GET, and a path such as ``/views/{name}``.
    """

    server: HttpServer
    routes: Sequence[web.RouteDef]
    needs: Callable[[str, str], Needs] = _of_admins


async def body(request: web.Request, *, limit: int) -> bytes:
    """Read the body of *request*; see `collector.body.read`."""
    seconds = request.app[READ_TIMEOUT]
    return await read(request, limit=limit, seconds=seconds, in_flight=request.app[IN_FLIGHT])


def create_app(
    listeners: Iterable[Listener],
    in_flight: InFlight,
    settings: Connections = DEFAULT,
    guard: Guard | None = None,
    around: Sequence[Middleware] = (),
) -> web.Application:
    """Make the application that serves *listeners*; *around* sees all of a request."""
    listeners = list(listeners)
    app = web.Application()
    app[CORS] = _cors([listener.server.cors for listener in listeners])
    app[IN_FLIGHT] = in_flight
    app[LEAVING] = asyncio.Event()
    app[READ_TIMEOUT] = settings.read_timeout
    app[STOPPING] = asyncio.Event()
    needs: dict[web.AbstractRoute, Needs] = {}
    for listener in listeners:
        app.add_routes(listener.routes)
        for route in app.router.routes():
            if route not in needs and route.resource is not None:
                method = "GET" if route.method == "HEAD" else route.method
                needs[route] = listener.needs(method, route.resource.canonical)
    if guard is not None:
        app[GUARD], app[NEEDS] = guard, needs
    app.middlewares.extend([*around, _answering(app)])
    return app


@asynccontextmanager
async def listening(
    listeners: Iterable[Listener],
    in_flight: InFlight,
    *,
    shutdown_timeout: float,
    held: Sockets | None = None,
    balance: Balance | None = None,
    control: Control | None = None,
    settings: Connections = DEFAULT,
    guard: Guard | None = None,
    around: Sequence[Middleware] = (),
) -> AsyncIterator[list[str]]:
    """
    Serve *listeners* inside the block; gives the URLs, one an endpoint.

    *held* has the sockets of endpoints that are open already, and stay so; with *balance*
    other processes take connections from them too. Without *guard* everybody may do everything.

    At its end new requests get 503, and those under way have *shutdown_timeout* seconds. Where
    *control* says to leave, connections have as long before that to bring one more request each.

    Raises:
        OSError: an endpoint is taken or cannot be bound, or its certificate cannot be read.
    """
    logging.getLogger("aiohttp.server").addFilter(_is_worth_telling)
    runners: list[web.AppRunner] = []
    taking: list[sockets.Taking] = []
    crowd = Crowd(settings, balance)
    try:
        urls = []
        for endpoint, its in _by_endpoint(listeners).items():
            app = create_app(its, in_flight, settings, guard, around)
            runner = web.AppRunner(app, shutdown_timeout=shutdown_timeout, handle_signals=False)
            runners.append(runner)
            await runner.setup()
            there = [one.dup() for one in (held or {}).get(endpoint, ())] or sockets.bound(endpoint)
            tls = its[0].server.tls
            certificates = Certificates(tls) if tls.cert_file else None
            urls.append(sockets.url(there, secure=certificates is not None))
            serve = partial(Connection, cast("web.Server", runner.server), crowd)
            taking += [sockets.Taking(one, serve, balance, crowd, certificates) for one in there]
        yield urls
    finally:
        for each in taking:
            each.close()
        if control is not None and control.told.is_set():
            await _left(runners, crowd, control, shutdown_timeout)
        for runner in runners:
            runner.app[STOPPING].set()
            runner.app[LEAVING].set()
        for runner in runners:
            await runner.cleanup()


async def _left(
    runners: Sequence[web.AppRunner],
    crowd: Crowd,
    control: Control,
    timeout: float,  # noqa: ASYNC109  it is no error when it is over
) -> None:
    """
    Take no more connections, and end each with the answer that says so, while *control* leaves.

    One that is closed while it is idle might be bringing a request at that moment.
    """
    for runner in runners:
        runner.app[LEAVING].set()
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout):
            while crowd.open and not control.stopped.is_set():  # noqa: ASYNC110  aiohttp has no event
                await asyncio.sleep(0.05)


def _by_endpoint(listeners: Iterable[Listener]) -> dict[str, list[Listener]]:
    found: dict[str, list[Listener]] = {}
    for listener in listeners:
        found.setdefault(listener.server.endpoint, []).append(listener)
    return found


def _is_worth_telling(line: logging.LogRecord) -> bool:
    """Drop aiohttp's tracebacks of requests that are no HTTP: any port scan makes them."""
    return not (line.exc_info and isinstance(line.exc_info[1], HttpProcessingError))


def _answering(app: web.Application) -> Middleware:
    """Give the middleware that every answer of *app* leaves through."""
    # Each of them costs more to look up in the request than to use.
    in_flight, guard = app[IN_FLIGHT], app.get(GUARD)
    stopping, leaving = app[STOPPING], app[LEAVING]

    @web.middleware
    async def answered(request: web.Request, handler: Handler) -> web.StreamResponse:
        response: web.StreamResponse
        began = time.monotonic()
        request[HELD] = 0
        stored = False
        try:
            if stopping.is_set():
                raise Unavailable("the collector is stopping")
            response = await _handled(request, handler, guard)
            stored = True
        except asyncio.CancelledError:
            telemetry.requests.labels(request.method, _route(request), HUNG_UP).inc()
            raise
        except Exception as exc:  # noqa: BLE001  one request's failure must not be another's
            response = answers.failure(request, exc)
            if request.method == "POST" or isinstance(exc, Unauthorized | Forbidden):
                telemetry.requests_refused.labels(_route(request), answers.reason(exc)).inc()
        finally:
            in_flight.release(request, stored=stored)
            if guard is not None:
                guard.leave(request)
        if leaving.is_set():
            response.force_close()
        number, seconds = _counters(request.method, _route(request), response.status)
        number.inc()
        seconds.observe(time.monotonic() - began)
        if not response.prepared:
            response.headers.update(headers(request))
        return response

    return answered


async def _handled(
    request: web.Request, handler: Handler, guard: Guard | None
) -> web.StreamResponse:
    if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
        return web.Response(status=204)
    if guard is not None:
        await _admit(request, guard)
    return await handler(request)


async def _admit(request: web.Request, guard: Guard) -> None:
    """Return if *request* may go on, and what an admin wants is written down."""
    needs = request.app[NEEDS].get(request.match_info.route, OPEN)  # that there is no such path
    guard.admit(request, needs)
    if needs is ADMIN and request.method not in QUESTIONS:
        refuse_strangers(request)
        await guard.note(request)


@functools.lru_cache(1_000)  # finding them by their labels takes longer than counting
def _counters(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    labels = (method, route, status)
    return telemetry.requests.labels(*labels), telemetry.request_seconds.labels(*labels)


def headers(request: web.Request) -> dict[str, str]:
    """Give the headers that every answer has; one that is streamed takes them beforehand."""
    found = {"X-Request-ID": _request_id(request, "X-Request-ID")}
    if "X-Trace-ID" in request.headers:
        found["X-Trace-ID"] = _request_id(request, "X-Trace-ID")
    if "Origin" in request.headers:
        found |= request.app[CORS](request)
    return found


def refuse_strangers(request: web.Request) -> None:
    """
    Refuse pages of other sites that CORS doesn't let in, where browsers don't ask beforehand.

    Raises:
        HTTPForbidden: it is from one.
    """
    origin = request.headers.get("Origin")
    if origin is None or urlsplit(origin).netloc == request.host:
        return
    if "Access-Control-Allow-Origin" not in request.app[CORS](request):
        raise web.HTTPForbidden(text=f"pages of {origin} may not; see cors in config.yaml")


def _route(request: web.Request) -> str:
    """Name the route, by its pattern, so that the counters stay few."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unknown"


def _request_id(request: web.Request, header: str) -> str:
    given = request.headers.get(header, "")
    if _ID.fullmatch(given):
        return given
    # It has to be told apart, not to be a secret, which would cost a call of the system.
    return f"{random.getrandbits(128):032x}"


def _cors(configs: Sequence[Cors]) -> Callable[[web.Request], dict[str, str]]:
    """Give the function from a request with an Origin to the CORS headers of its answer."""
    patterns = [
        r"[^/:@]*".join(map(re.escape, origin.strip().split("*"))).replace(r":[^/:@]*", r":\d+")
        for config in configs
        for origin in (
            config.allowed_origins.split(",")
            if isinstance(config.allowed_origins, str)
            else config.allowed_origins
        )
        if origin.strip()
    ]
    allowed = re.compile("|".join(patterns) or r"(?!)")
    max_age = str(max((config.max_age for config in configs), default=0))

    def headers(request: web.Request) -> dict[str, str]:
        origin = request.headers["Origin"]
        if not allowed.fullmatch(origin):
            return {"Vary": "Origin"}
        found = {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Credentials": "true",
            "Access-Control-Expose-Headers": EXPOSED,
            "Vary": "Origin",
        }
        if request.method == "OPTIONS":
            wanted = request.headers.get("Access-Control-Request-Headers", "*")
            found |= {
                "Access-Control-Allow-Methods": METHODS,
                "Access-Control-Allow-Headers": wanted,
                "Access-Control-Max-Age": max_age,
            }
        return found

    return headers
