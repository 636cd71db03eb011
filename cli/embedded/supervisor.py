"""Keeps children running and ends them together.

    with Supervisor(folder) as supervisor:
        supervisor.start(database.child())
        migrate()
        supervisor.start(broker.child())
        supervisor.watch(each)

SIGINT and SIGTERM end the block at whatever point it is, without an error; the children are then stopped in reverse
order. A second signal while they stop kills what still runs. Use it in the main thread.
"""

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import NoReturn, Self

import structlog

from cli.embedded.files import FolderLock, prepare_folder
from cli.embedded.process import Child, Running, describe_exit, tail

_POLL_SECONDS = 0.2
_FIRST_DELAY = 0.5
_LONGEST_DELAY = 30.0
_SETTLED_SECONDS = 60.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# A second signal this soon is the same wish, told by a terminal and by a wrapper, and no impatience.
_ONE_WISH_SECONDS = 1.0

_Handler = Callable[[int, FrameType | None], object] | int | None

log = structlog.get_logger(__name__)


class _StopRequested(BaseException):
    """Unwinds the block on a signal; no `except Exception` on the way may catch it."""


@dataclass
class _Watched:
    running: Running
    started: float
    delay: float = _FIRST_DELAY
    restart_at: float | None = None


class Supervisor:
    """Owns a folder and the children started on it, from entering to leaving its `with` block.

    Entering raises StartError where another process owns the folder, it is not writable, or the disk is nearly full.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock: FolderLock | None = None
        self._watched: list[_Watched] = []
        self._closing = False
        self._closing_since = 0.0
        self._handlers: dict[signal.Signals, _Handler] = {}

    def __enter__(self) -> Self:
        self._folder = prepare_folder(self._folder)
        self._lock = FolderLock(self._folder)
        self._lock.__enter__()
        for number in _SIGNALS:
            self._handlers[number] = signal.signal(number, self._interrupt)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._close()
        try:
            self._stop_all()
        finally:
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
            if self._lock:
                self._lock.__exit__(None, None, None)
        return kind is _StopRequested

    def start(self, child: Child) -> Running:
        """Start one more child and return once it is ready; raise StartError, with its log's tail, otherwise."""
        running = Running(self._folder, child)
        running.start()
        self._watched.append(_Watched(running, time.monotonic()))
        running.wait_ready()
        log.info("started", action="child.started", child=child.name, pid=running.pid)
        return running

    def watch(self, each: Callable[[], None]) -> NoReturn:
        """Restart children that die, each time a little later, until a signal ends the block.

        `each` is called several times a second and should return quickly.
        """
        while True:
            each()
            for watched in self._watched:
                self._check(watched)
                watched.running.trim_log()
            time.sleep(_POLL_SECONDS)

    def _check(self, watched: _Watched) -> None:
        now = time.monotonic()
        name = watched.running.child.name
        if watched.restart_at is not None:
            if now >= watched.restart_at:
                watched.restart_at = None
                watched.started = now
                watched.running.start()
                log.warning("restarted", action="child.restarted", child=name, pid=watched.running.pid)
            return
        code = watched.running.exit_code
        if code is None:
            return
        if now - watched.started > _SETTLED_SECONDS:
            watched.delay = _FIRST_DELAY
        watched.restart_at = now + watched.delay
        log.error(
            "a part died and is restarted",
            action="child.died",
            child=name,
            reason=describe_exit(code),
            restart_in_seconds=watched.delay,
            log=str(watched.running.log_path),
            log_tail=tail(watched.running.log_path),
        )
        watched.delay = min(watched.delay * 2, _LONGEST_DELAY)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        del frame
        if not self._closing:
            self._close()
            raise _StopRequested(signal.Signals(number).name)
        if time.monotonic() - self._closing_since > _ONE_WISH_SECONDS:
            for watched in self._watched:
                watched.running.kill()

    def _close(self) -> None:
        if not self._closing:
            self._closing = True
            self._closing_since = time.monotonic()

    def _stop_all(self) -> None:
        for watched in reversed(self._watched):
            watched.running.stop()
            log.info("stopped", action="child.stopped", child=watched.running.child.name)
