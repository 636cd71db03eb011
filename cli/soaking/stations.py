"""Real stations, each a process of its own, that read nonces from a serial scanner."""

import json
import os
import secrets
import signal
import threading
import time
from pathlib import Path
from typing import Final

from cli.embedded.process import Child, Running
from cli.installation import codefence
from cli.soaking.audit import outbox_scans
from contracts.gs1 import label_uri

_BEEPS: Final = frozenset({"OK", "PROVISIONAL"})


class Scanner:
    """The host's end of a serial line, on which codes arrive at `rate` a second while it is `on`."""

    def __init__(self, rate: float) -> None:
        self._host, line = os.openpty()
        self._line = line  # held open: without any reader the host's end fails
        self.path = os.ttyname(line)
        os.set_blocking(self._host, False)
        self._rate = rate
        self.on = threading.Event()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._scan, name="scanner", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Unplug it."""
        self._end.set()
        self._thread.join()
        os.close(self._host)
        os.close(self._line)

    def _scan(self) -> None:
        while not self._end.wait(1 / self._rate):
            if self.on.is_set():
                try:
                    code = label_uri("id.example.com", "06901234567892", secrets.token_hex(10).upper())
                    os.write(self._host, f"]Q1{code}\r".encode())
                except BlockingIOError:
                    continue  # nobody reads: the scanner has no memory, and no beep says that it was captured


class Station:
    """`codefence edge station` with a scanner of its own; its log goes to `folder`, its outbox to `data`."""

    def __init__(self, folder: Path, data: Path, device: str, environment: dict[str, str], rate: float) -> None:
        self.device = device
        self.outbox = data / "outbox.db"
        self.scanner = Scanner(rate)
        values = {**environment, "EDGE_DATA": str(data), "EDGE_SOURCE": f"serial:{self.scanner.path}"}
        self.process = Running(folder, Child(device, codefence("edge", "station"), values))

    def start(self) -> None:
        """Start the agent."""
        self.process.start()

    def stop(self) -> None:
        """End the agent and unplug the scanner."""
        self.process.stop()
        self.scanner.close()

    @property
    def waiting(self) -> int:
        """How many scans wait for the server."""
        return sum(one.state == 0 for one in outbox_scans(self.outbox)) if self.outbox.exists() else 0

    def beeped(self) -> set[str]:
        """Return the codes for which the station has shown that they are kept."""
        found = set()
        for line in self.process.log_path.read_text("utf-8").splitlines():
            if '"station.verdict"' not in line:
                continue
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:
                continue  # cut short by a SIGKILL
            if entry["verdict"] in _BEEPS:
                found.add(entry["code"])
        return found

    def unkept(self) -> set[str]:
        """Return what the station has beeped for and does not have: promises that a SIGKILL broke."""
        return self.beeped() - {one.code for one in outbox_scans(self.outbox)}

    def wait_drained(self, seconds: float) -> bool:
        """Return once nothing waits, or False when the time is up."""
        deadline = time.monotonic() + seconds
        while self.waiting:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.2)
        return True


def kill(running: Running) -> None:
    """SIGKILL a process and return when it is gone."""
    pid = running.pid
    if pid is not None:
        os.kill(pid, signal.SIGKILL)
        while running.pid is not None:
            time.sleep(0.005)
