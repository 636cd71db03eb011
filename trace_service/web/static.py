"""Files whose names hold their digest: compressed, and kept by browsers for good."""

import os
from pathlib import Path
from typing import TypeAlias

from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

StrPath: TypeAlias = str | os.PathLike[str]


class ImmutableFiles:
    """Serves one folder; only these files are compressed, since a page's size must not tell its secrets."""

    def __init__(self, folder: Path) -> None:
        self._app: ASGIApp = GZipMiddleware(_Files(directory=folder), minimum_size=500)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one file."""
        await self._app(scope, receive, send)


class _Files(StaticFiles):
    def file_response(
        self, full_path: StrPath, stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response
