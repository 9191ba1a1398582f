"""
For services on FastAPI, Starlette or any other ASGI framework.

    app.add_middleware(RequestLogging)

Around the whole application, `app = RequestLogging(app)`, the answers to errors that nobody
handled have the ids too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from pixsim_otel.context import get_logger

from .exchange import Exchange

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Message: TypeAlias = MutableMapping[str, Any]
    Receive: TypeAlias = Callable[[], Awaitable[Message]]
    Send: TypeAlias = Callable[[Message], Awaitable[None]]
    App: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]


class RequestLogging:
    """
    Logs each HTTP request of *app*; an endless answer is logged when it ends.

    The request's id is in its state too: ``request.state.request_id``.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one connection, as ASGI asks for."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in scope["headers"]
        }
        query = scope.get("query_string", b"").decode("latin-1")
        path = f"{scope['path']}?{query}" if query else scope["path"]
        exchange = Exchange(scope["method"], path, headers)

        async def send_with_ids(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                message = {**message, "headers": [*message.get("headers", ()), *_raw(exchange)]}
            await send(message)

        with exchange.running(get_logger()):
            scope.setdefault("state", {})["request_id"] = exchange.answer_headers["X-Request-ID"]
            await self._app(scope, receive, send_with_ids)


def _raw(exchange: Exchange) -> list[tuple[bytes, bytes]]:
    """Give the answer's headers as ASGI has them."""
    return [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in exchange.answer_headers.items()
    ]
