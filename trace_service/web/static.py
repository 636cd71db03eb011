"""Files whose names hold their digest: compressed, and kept by browsers for good."""

from pathlib import Path

from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send


class ImmutableFiles:
    """Serves one folder; only these files are compressed, since a page's size must not tell its secrets."""

    def __init__(self, folder: Path) -> None:
        self._app: ASGIApp = GZipMiddleware(_Files(directory=folder), minimum_size=500)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one file."""
        await self._app(scope, receive, send)


class _Files(StaticFiles):
    def file_response(self, *args: object, **kwargs: object) -> Response:
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]  handed on as it came
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response
