"""How much a request may carry: the framework reads a body whole, and before it asks who sends it."""

from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_BODY: Final = 1024 * 1024
# These read a body themselves, after they know the sender, and with limits of their own.
_OWN_LIMITS: Final = (
    "/epcis/", "/channel/import", "/api/v1/channel/import", "/uploads/", "/api/v1/territories/proposals/",
    "/api/v1/geofence/check/batch",
    "/territories/upload",
)  # fmt: skip
_TOO_LARGE: Final = 413


class BodyLimit:
    """Refuses a body of more than LARGEST_BODY bytes as soon as it is announced or has come."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        announced = headers.get("content-length", "")
        # Beside chunks an announced length says nothing: the server reads on until the last chunk.
        untold = bool(announced) and "transfer-encoding" in headers
        if scope["path"].startswith(_OWN_LIMITS) and not untold:
            await self._app(scope, receive, send)
            return
        seen = LARGEST_BODY + 1 if untold else int(announced) if announced.isdecimal() else 0

        async def receive_within_limit() -> Message:
            nonlocal seen
            message: Message = {} if seen > LARGEST_BODY else await receive()
            if not announced:
                seen += len(message.get("body", b""))
            if seen > LARGEST_BODY:
                raise HTTPException(_TOO_LARGE)
            return message

        await self._app(scope, receive_within_limit, send)
