"""One child process: started in its own session, logged to a file, stopped in time, and never left behind.

Call `start` from a thread that lives as long as the child should: Linux sends the parent-death signal when the
starting *thread* ends.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import psutil
import structlog

from cli.embedded.files import MEBIBYTE, write_private
from contracts.errors import StartError

_TETHER = Path(__file__).with_name("tether.py")
_POLL_SECONDS = 0.05
_LOG_LIMIT = 20 * MEBIBYTE
_CLOCK_TOLERANCE_SECONDS = 0.5

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Account:
    """An unprivileged account that a program runs as when Codefence itself is root; `home` is where it may reach."""

    name: str
    uid: int
    gid: int
    home: Path


def _always() -> bool:
    return True


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Child:
    """A program to keep running.

    `ready` is polled until it returns true, for at most `ready_within` seconds; `stop_signal` asks for a clean end,
    which gets `stop_within` seconds before SIGKILL; `before_start` runs ahead of every start and restart.
    `env` is the whole environment. `argv[0]` is an absolute path.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    ready: Callable[[], bool] = _always
    ready_within: float = 180.0
    stop_signal: signal.Signals = signal.SIGTERM
    stop_within: float = 10.0
    before_start: Callable[[], None] = _nothing
    account: Account | None = None
    cwd: Path = Path("/")


class _Record(msgspec.Struct):
    """Who runs, and for whom, as (process id, start in seconds since the epoch): ids alone are reused."""

    child: tuple[int, float]
    parent: tuple[int, float]


def tethered(argv: Sequence[str], account: Account | None, death_signal: signal.Signals = signal.SIGKILL) -> list[str]:
    """Return `argv` wrapped so that it runs as `account` and is signalled when this process dies."""
    uid, gid = (account.uid, account.gid) if account else (-1, -1)
    wrapper = [sys.executable, "-I", "-S", str(_TETHER)]
    return [*wrapper, str(int(death_signal)), str(os.getpid()), str(uid), str(gid), *argv]


def describe_exit(code: int) -> str:
    """Say what an exit code of subprocess means: negative ones are signals."""
    if code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name
    return f"killed by {name}, perhaps for want of memory" if name == "SIGKILL" else f"killed by {name}"


def tail(path: Path, lines: int = 12) -> str:
    """Return the last lines of a log file, or a remark that there are none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 16 * 1024))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        text = ""
    return "\n".join(text.splitlines()[-lines:]) or "(the log is empty)"


def is_worked_in(folder: Path) -> bool:
    """Say whether any process has `folder` as its working directory."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.cwd() == str(folder):
                return True
    return False


def _identity(pid: int) -> tuple[int, float]:
    return pid, psutil.Process(pid).create_time()


def _living(identity: tuple[int, float]) -> psutil.Process | None:
    pid, created = identity
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        same = abs(process.create_time() - created) < _CLOCK_TOLERANCE_SECONDS
        if same and process.status() != psutil.STATUS_ZOMBIE:
            return process
    return None


def _gone_within(identity: tuple[int, float], seconds: float) -> bool:
    # psutil's own wait counts a dead process that nobody collects, as in many containers, as living.
    deadline = time.monotonic() + seconds
    while _living(identity) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


class Running:
    """A child of this process, with its log at `folder`/log/NAME.log and its record at `folder`/run/NAME.json."""

    def __init__(self, folder: Path, child: Child) -> None:
        self.child = child
        self.log_path = folder / "log" / f"{child.name}.log"
        self._record_path = folder / "run" / f"{child.name}.json"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def exit_code(self) -> int | None:
        """What the last run ended with, in subprocess's form; None while it runs."""
        return self._process.poll() if self._process else None

    def start(self) -> None:
        """Start the program; raise StartError if another living process runs it on the same folder."""
        if self.pid is not None:
            raise StartError(f"{self.child.name} runs already, as process {self.pid}", advice="Stop it first.")
        self.clear_leftover()
        self.child.before_start()
        self.log_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._record_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.trim_log()
        with self.log_path.open("ab") as output:
            self._process = subprocess.Popen(
                tethered(self.child.argv, self.child.account, self.child.stop_signal),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(self.child.env),
                cwd=self.child.cwd,
                start_new_session=True,
            )
        record = _Record(child=_identity(self._process.pid), parent=_identity(os.getpid()))
        write_private(self._record_path, msgspec.json.encode(record).decode("ascii"))

    def wait_ready(self) -> None:
        """Return once the child is ready; else stop it and raise StartError with the tail of its log."""
        deadline = time.monotonic() + self.child.ready_within
        while time.monotonic() < deadline:
            if self.exit_code is not None:
                raise self._failure(f"{self.child.name} ended while starting: {describe_exit(self.exit_code)}")
            if self.child.ready():
                return
            time.sleep(_POLL_SECONDS)
        self.stop()
        raise self._failure(f"{self.child.name} was not ready within {self.child.ready_within:g} s")

    def _failure(self, message: str) -> StartError:
        advice = f"The whole log is {self.log_path}."
        return StartError(f"{message}. Its log ends with:\n{tail(self.log_path)}", advice=advice)

    def ask_to_stop(self) -> None:
        """Send the child's own stop signal, without waiting."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(self.child.stop_signal)

    def kill(self) -> None:
        """Kill the child and its process group, without waiting."""
        if self._process and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)

    def stop(self) -> None:
        """Ask the child to end, wait, and kill its whole process group if it does not."""
        if self._process is None:
            return
        self.ask_to_stop()
        try:
            self._process.wait(self.child.stop_within)
        except subprocess.TimeoutExpired:
            log.warning("a child did not stop in time and is killed", action="child.kill", child=self.child.name)
            self.kill()
            self._process.wait()
        self._record_path.unlink(missing_ok=True)

    def clear_leftover(self) -> None:
        """Stop what a killed predecessor left running; raise StartError if its owner still lives."""
        try:
            record = msgspec.json.decode(self._record_path.read_bytes(), type=_Record)
        except (FileNotFoundError, msgspec.DecodeError):
            return
        leftover = _living(record.child)
        if leftover is None:
            return
        if _living(record.parent) is not None:
            raise StartError(
                f"{self.child.name} already runs on {self.log_path.parent.parent}, as process {leftover.pid}",
                advice=f"Use that one, or stop its owner with: kill {record.parent[0]}.",
            )
        log.warning("stopping a leftover of an earlier run", action="child.leftover", child=self.child.name)
        leftover.send_signal(self.child.stop_signal)
        if not _gone_within(record.child, self.child.stop_within):
            leftover.kill()
            _gone_within(record.child, self.child.stop_within)

    def trim_log(self) -> None:
        """Keep a log that has grown past 20 MiB as NAME.log.1 and go on with an empty one.

        The file itself stays, because the child holds it open for appending.
        """
        with suppress(FileNotFoundError):
            if self.log_path.stat().st_size > _LOG_LIMIT:
                previous = self.log_path.with_suffix(".log.1")
                previous.write_bytes(self.log_path.read_bytes())
                os.truncate(self.log_path, 0)
