"""What every agent is made of: an outbox, an uplink, and a body that runs until it is told to stop."""

import importlib.metadata
import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final, TextIO, cast

import structlog

from contracts.stderr import PatientStderr
from edge.outbox import Outbox
from edge.settings import AgentSettings
from edge.uplink import Uplink

_GRACE_SECONDS: Final = 3.0
_log = structlog.get_logger(__name__)

Body = Callable[[Outbox, Uplink, threading.Event], None]


def configure_log() -> None:
    """Log to standard error: JSON lines, or for a person at a terminal coloured text."""
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer(ensure_ascii=False)
    if sys.stderr.isatty():
        renderer = structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", PatientStderr())),
    )
    # Its own complaints repeat what the shelf agent says about a silent controller.
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL + 1)


def run_agent(settings: AgentSettings, body: Body) -> int:
    """Run `body` until it returns or a signal comes, publish for a moment more, and return the exit code.

    SIGTERM and SIGINT end the agent in order. 1 means that the uplink failed: nothing that was kept is lost, and
    whoever supervises the agent starts it again.
    """
    structlog.contextvars.bind_contextvars(device=settings.device)
    stop = threading.Event()
    with _signals(stop), Outbox(settings.data / "outbox.db", limit=settings.outbox_limit) as outbox:
        uplink = Uplink(settings, outbox, importlib.metadata.version("codefence"), stop.set)
        uplink.start()
        _log.info("agent runs", action="agent.started", boot=outbox.boot, waiting=outbox.depth)
        try:
            body(outbox, uplink, stop)
        finally:
            failed = uplink.has_failed
            uplink.stop(_GRACE_SECONDS)
        _log.info("agent ends", action="agent.ended", waiting=outbox.depth)
    return 1 if failed else 0


@contextmanager
def _signals(stop: threading.Event) -> Iterator[None]:
    def ask_to_stop(number: int, _frame: FrameType | None) -> None:
        _log.info("asked to stop", action="agent.signal", signal=signal.Signals(number).name)
        stop.set()

    earlier = {number: signal.signal(number, ask_to_stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
