"""What every request handler works with, built once by `create_app`."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from trace_service.channel.shelf import ChannelShelf
from trace_service.settings import TraceSettings
from trace_service.web.auth.sessions import Sessions
from trace_service.web.database import Database
from trace_service.web.headers import Metrics
from trace_service.web.live import LiveUpdates
from trace_service.web.places import Places
from trace_service.web.render import Renderer


@dataclass(frozen=True)
class Console:
    """The parts of the running console."""

    settings: TraceSettings
    database: Database
    sessions: Sessions
    live: LiveUpdates
    places: Places
    renderer: Renderer
    metrics: Metrics
    channels: ChannelShelf


def console_of(request: Request) -> Console:
    """Return the application's parts."""
    console: Console = request.app.state.console
    return console


ConsoleOf = Annotated[Console, Depends(console_of)]
