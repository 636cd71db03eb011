"""What a first visit would wait seconds for, made ready in the background once the console is up for a while."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from fastapi import FastAPI

from trace_service.console.territories import overviews_of
from trace_service.web.context import Console

_AFTER_S: Final = 60.0


@asynccontextmanager
async def warming(app: FastAPI, console: Console) -> AsyncIterator[None]:
    """Make maps ready in a thread, a minute after the start; what was not begun by the end is not done."""
    task = asyncio.create_task(_wait_and_warm(app, console), name="warming")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def warm(app: FastAPI, console: Console) -> None:
    """Simplify borders for the drawings of territories and for the map behind alerts; without a map, nothing."""
    atoms = console.places.borders
    if atoms is not None:
        console.places.country()
        overviews_of(app, atoms).prepare()


async def _wait_and_warm(app: FastAPI, console: Console) -> None:
    await asyncio.sleep(_AFTER_S)
    await asyncio.to_thread(warm, app, console)
