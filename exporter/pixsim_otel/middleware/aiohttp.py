"""
For services on aiohttp.

    setup(app)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from pixsim_otel.context import get_logger

from .exchange import Exchange

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

# aiohttp has keys from 3.14 on, and warns of text
_EXCHANGE: Any = (
    web.RequestKey("pixsim_otel.exchange", Exchange)
    if hasattr(web, "RequestKey")
    else "pixsim_otel.exchange"
)


def setup(app: web.Application) -> None:
    """Log each request of *app*, around its other middlewares."""
    app.middlewares.insert(0, _log_request)
    app.on_response_prepare.append(_return_ids)


@web.middleware
async def _log_request(request: web.Request, handler: Handler) -> web.StreamResponse:
    exchange = Exchange(request.method, request.path_qs, _lower(request))
    request[_EXCHANGE] = exchange
    answer: web.StreamResponse
    with exchange.running(get_logger()):
        try:
            answer = await handler(request)
        except web.HTTPException as error:  # an answer, though it was raised
            answer = error
        exchange.status = answer.status
    if isinstance(answer, web.HTTPException):
        raise answer
    return answer


async def _return_ids(request: web.Request, answer: web.StreamResponse) -> None:
    """Add the ids to an answer's headers; as a signal it sees streams before they begin."""
    exchange = request.get(_EXCHANGE)
    if exchange is not None:
        answer.headers.update(exchange.answer_headers)


def _lower(request: web.Request) -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}
