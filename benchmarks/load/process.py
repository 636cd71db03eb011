"""A program under load: stopped while its messages pile up at the broker, then let go and watched."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")


class Subject:
    """A running program."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def freeze(self) -> None:
        """Stop it where it is."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)

    def cpu_seconds(self) -> float:
        """Return the processor time that it has used, in its own code and in the kernel."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text("ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def peak_mib(self) -> float:
        """Return the most memory that it ever held."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text("ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
        raise ValueError("the kernel tells no VmHWM")

    def wait_for_end(self) -> None:
        """Return when it has ended; what it used can still be asked for."""
        os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)

    def wait_for_line(self, word: str) -> None:
        """Return when it has printed a line with this word."""
        for line in self.process.stdout or ():
            if word in line:
                return
        raise RuntimeError(f"{self.process.args!r} ended before it said {word!r}")


@contextmanager
def running(command: Sequence[str], env: Mapping[str, str] | None = None) -> Iterator[Subject]:
    """Run a program until the block ends."""
    with subprocess.Popen(
        list(command),
        env=None if env is None else dict(env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield Subject(process)
        finally:
            process.kill()
