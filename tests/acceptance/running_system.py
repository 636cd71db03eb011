"""A whole Codefence as a newcomer starts it, seen from outside: its console's API, its processes, its truth."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
from waiting import PATIENCE

from cli.device import running_installation
from cli.embedded.files import kept_port

CODEFENCE = Path(sys.executable).with_name("codefence")


@dataclass
class System:
    """One `codefence up` on a folder of its own."""

    var: Path
    port: int
    process: subprocess.Popen[bytes]
    api: httpx.Client

    def get(self, path: str) -> Any:  # noqa: ANN401  JSON is of any type
        answer = self.api.get(f"/api/v1{path}")
        answer.raise_for_status()
        return answer.json()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(running_installation(self.var).owner_dsn) as connection:
            return connection.execute(query.encode()).fetchall()

    def world(self, name: str) -> Any:  # noqa: ANN401  JSON is of any type
        return json.loads((self.var / "demo" / name).read_text("utf-8"))

    def pid(self, part: str) -> int:
        record = json.loads((self.var / "run" / f"{part}.json").read_text("utf-8"))
        return int(record["child"][0])

    def kill(self, part: str) -> None:
        """SIGKILL one process; the supervisor notices and starts it again."""
        before = self.pid(part)
        os.kill(before, signal.SIGKILL)
        wait_for(lambda: self.pid(part) != before, f"{part} to be restarted")

    def log_in(self) -> None:
        password = (self.var / "secrets" / "demo").read_text("utf-8").strip()
        answer = self.api.post("/api/v1/session", json={"login": "demo", "password": password})
        answer.raise_for_status()
        self.api.headers["Authorization"] = f"Bearer {answer.json()['token']}"

    def stop(self) -> int:
        """Do what Ctrl-C does and return the exit code."""
        self.api.close()
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(400)


def start(var: Path, *options: str) -> System:
    """Start `codefence up` and return once it says that it is up."""
    # Of those that the system hands out to nobody: connections that others open take none of them meanwhile.
    port = kept_port(var.parent / "console-port")
    log = var.parent / "up.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [CODEFENCE, "up", "--var", var, "--port", str(port), *options], stdout=output, stderr=output
        )
    system = System(var, port, process, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE))

    def is_up() -> bool:
        assert process.poll() is None, log.read_text("utf-8")
        return b"Codefence is up." in log.read_bytes()

    wait_for(is_up, "up to say that it is up")
    system.log_in()
    return system


def wait_for(condition: Callable[[], object], what: str, seconds: float = 400) -> None:
    """Return once `condition` holds; a connection that is just being restarted counts as not yet."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except (httpx.TransportError, httpx.HTTPStatusError, psycopg.OperationalError):
            pass
        time.sleep(0.3)
    raise AssertionError(f"waited {seconds:g} s for {what}")
