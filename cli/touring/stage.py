"""Where the tour plays: real processes on embedded parts, the project's own commands, and HTTP."""

import http.client
import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from cli.installation import Installation, codefence
from contracts.errors import StartError

_PATIENCE_SECONDS: Final = 60.0
_MOST_LINES: Final = 12
_TICK_SECONDS: Final = 0.005


@dataclass(frozen=True)
class Act:
    """One thing that was done, as the page shows it: a title in both languages, what was typed, what came of it."""

    zh: str
    en: str
    typed: str = ""
    answer: str = ""
    pictures: tuple[Path, ...] = ()
    table: tuple[tuple[str, ...], ...] = ()


@dataclass
class Stage:
    """The installation that the tour plays in, its folder, and what has happened so far."""

    installation: Installation
    folder: Path
    say: Callable[[str], None]
    acts: list[Act] = field(default_factory=list)
    token: str = ""

    def act(self, zh: str, en: str, **rest: Any) -> None:  # noqa: ANN401  the fields of Act
        """Record and tell one act."""
        made = Act(zh, en, **rest)
        self.acts.append(made)
        self.say(f"{len(self.acts):2}  {en}")
        for line in made.typed.splitlines():
            self.say(f"      $ {line}")
        for row in made.table:
            self.say("      " + "  ".join(row))
        for line in made.answer.splitlines()[:_MOST_LINES]:
            self.say(f"      {line}")

    def run(self, *arguments: object, given: str | None = None, fails: bool = False) -> str:
        """Run one of our commands and return its output; raises `StartError` where it ends otherwise than expected."""
        command = codefence(*arguments)
        done = subprocess.run(
            command, env=self.environment(), input=given, capture_output=True, text=True, check=False, timeout=300
        )
        if (done.returncode != 0) is not fails:
            raise StartError(f"{typed(*arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}".strip())
        return done.stdout or done.stderr

    def environment(self) -> dict[str, str]:
        """Return the environment of the commands."""
        return {**os.environ, **self.installation.trace_environment()}

    def tick(self) -> datetime:
        """Return the present moment, in milliseconds, later than any that was returned before."""
        time.sleep(_TICK_SECONDS)
        moment = datetime.now(UTC)
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)

    def path(self, *parts: str) -> Path:
        """Return a path in the tour's folder whose parent exists."""
        found = self.folder.joinpath(*parts)
        found.parent.mkdir(parents=True, exist_ok=True)
        return found

    def http(self, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
        """Ask the console; POST where there is a body. Return status and answer."""
        given = {"Authorization": f"Bearer {self.token}", "Accept": "application/json", **(headers or {})}
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            given["Content-Type"] = "application/json"
        connection = http.client.HTTPConnection("127.0.0.1", self.installation.console_port, timeout=30)
        with closing(connection):
            connection.request("GET" if data is None else "POST", path, body=data, headers=given)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def until(self, what: str, holds: Callable[[], bool]) -> None:
        """Wait until something holds; raises `StartError` after a minute."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not holds():
            if time.monotonic() > deadline:
                logs = self.installation.var / "log"
                raise StartError(f"{what} did not happen within a minute", advice=f"Look into {logs}.")
            time.sleep(0.1)


def typed(*arguments: object) -> str:
    """Return a command as a person would type it."""
    return " ".join(["codefence", *map(str, arguments)])
