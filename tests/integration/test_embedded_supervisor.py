import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from waiting import PATIENCE, wait_for

from cli.embedded import files
from cli.embedded.files import (
    FolderLock,
    kept_port,
    kept_secret,
    port_answers,
    port_is_free,
    prepare_folder,
    require_port,
)
from cli.embedded.process import Child, Running
from cli.embedded.supervisor import Supervisor
from contracts.errors import StartError

# Each child writes its process id to NAME.pid; `stubborn` notes the polite signal and goes on.
PROGRAM = """
import os, signal, sys, time
from pathlib import Path
folder, name = Path(sys.argv[1]), sys.argv[2]
def leave(*_):
    with (folder / "order").open("a") as order:
        order.write(name + "\\n")
    if name != "stubborn":
        sys.exit(0)
signal.signal(signal.SIGTERM, leave)
print(name, "says hello", flush=True)
(folder / f"{name}.new").write_text(str(os.getpid()))
(folder / f"{name}.new").rename(folder / f"{name}.pid")
while True:
    time.sleep(0.05)
"""

OWNER = """
import logging, sys
from pathlib import Path
from cli.embedded.process import Child
from cli.embedded.supervisor import Supervisor
folder, program, patience, names = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]), sys.argv[4:]
with Supervisor(folder / "var") as supervisor:
    for name in names:
        argv = [sys.executable, "-c", program, str(folder), name]
        supervisor.start(Child(name, argv, ready=(folder / f"{name}.pid").exists, stop_within=patience))
    (folder / "ready").touch()
    supervisor.watch(lambda: None)
print("left cleanly")
"""


def dead(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE  # nobody collects orphans in many containers
    except psutil.NoSuchProcess:
        return True


class Owner:
    """A process of its own that supervises, as `codefence up` does."""

    def __init__(self, folder: Path, *names: str, patience: float = 1) -> None:
        self.folder = folder
        self.output = folder / "output"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", OWNER, str(folder), PROGRAM, str(patience), *names], stdout=output, stderr=output
            )
        wait_for((folder / "ready").exists)

    def pid(self, name: str) -> int:
        return int((self.folder / f"{name}.pid").read_text(encoding="ascii"))

    def said(self) -> str:
        return self.output.read_text(encoding="utf-8")


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Callable[..., Owner]]:
    owners: list[Owner] = []

    def make(*names: str, patience: float = 1) -> Owner:
        owners.append(Owner(tmp_path, *names, patience=patience))
        return owners[-1]

    yield make
    for one in owners:
        one.process.kill()
        one.process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_children_last_one_first(owner: Callable[..., Owner], number: signal.Signals) -> None:
    running = owner("first", "second", "third")
    running.process.send_signal(number)
    assert running.process.wait(PATIENCE) == 0
    assert (running.folder / "order").read_text(encoding="ascii").split() == ["third", "second", "first"]
    assert "left cleanly" in running.said()


def test_a_child_that_dies_is_restarted_and_named(owner: Callable[..., Owner]) -> None:
    running = owner("first", "second")
    victim, bystander = running.pid("first"), running.pid("second")
    os.kill(victim, signal.SIGKILL)
    wait_for(lambda: running.pid("first") != victim)
    assert running.pid("second") == bystander
    wait_for(lambda: "child.restarted" in running.said())
    for words in ("a part died", "child=first", "SIGKILL", "first says hello"):
        assert words in running.said()


def test_children_hear_nothing_of_the_terminals_interrupt(owner: Callable[..., Owner]) -> None:
    running = owner("first")
    assert os.getsid(running.pid("first")) == running.pid("first")
    assert os.getsid(running.pid("first")) != os.getsid(running.process.pid)


def test_children_end_when_their_supervisor_is_killed(owner: Callable[..., Owner]) -> None:
    running = owner("first", "second")
    children = [psutil.Process(running.pid(name)) for name in ("first", "second")]
    running.process.kill()
    wait_for(lambda: all(map(dead, children)))


def test_a_child_that_ignores_everything_is_killed_on_stop_and_on_the_next_start(
    owner: Callable[..., Owner],
) -> None:
    running = owner("stubborn")
    leftover = psutil.Process(running.pid("stubborn"))
    running.process.kill()
    running.process.wait()
    assert not dead(leftover)
    (running.folder / "ready").unlink()
    (running.folder / "stubborn.pid").unlink()
    successor = owner("stubborn")
    assert dead(leftover)
    heir = psutil.Process(successor.pid("stubborn"))
    successor.process.terminate()
    assert successor.process.wait(PATIENCE) == 0
    assert dead(heir)


def test_a_second_signal_does_not_wait_for_a_child_that_hangs(owner: Callable[..., Owner]) -> None:
    running = owner("stubborn", patience=60)
    child = psutil.Process(running.pid("stubborn"))
    running.process.send_signal(signal.SIGINT)
    wait_for((running.folder / "order").exists)
    time.sleep(1.2)  # a second signal within a second is taken for the same wish
    assert not dead(child)
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(PATIENCE) == 0
    assert dead(child)


def test_a_second_start_on_the_same_folder_names_the_first(owner: Callable[..., Owner]) -> None:
    running = owner("first")
    with pytest.raises(StartError, match=f"already running on .*process {running.process.pid}") as caught:
        Supervisor(running.folder / "var").__enter__()
    assert f"kill {running.process.pid}" in caught.value.advice


def test_a_child_that_fails_to_start_shows_its_last_words(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", "import sys; sys.exit('no such database')"]
    with Supervisor(tmp_path) as supervisor, pytest.raises(StartError, match=r"(?s)exit code 1.*no such database"):
        supervisor.start(Child("clerk", argv, ready=lambda: False))


def test_a_child_that_never_gets_ready_is_stopped(tmp_path: Path) -> None:
    child = Child("clerk", [sys.executable, "-c", "import time; time.sleep(60)"], ready=lambda: False, ready_within=0.3)
    running = Running(tmp_path, child)
    running.start()
    with pytest.raises(StartError, match=r"not ready within 0\.3 s"):
        running.wait_ready()
    assert running.pid is None


def test_a_signal_during_the_start_leaves_the_block_too(tmp_path: Path) -> None:
    program = f"import os, time; os.kill({os.getpid()}, {signal.SIGTERM:d}); time.sleep(600)"
    child = Child("clerk", [sys.executable, "-c", program], ready=lambda: False, ready_within=PATIENCE)
    with Supervisor(tmp_path) as supervisor:
        supervisor.start(child)
        raise AssertionError("the signal has ended the block before this")


def test_the_folder_is_free_again_after_its_owner_died(owner: Callable[..., Owner]) -> None:
    running = owner("first")
    running.process.kill()
    running.process.wait()
    with FolderLock(running.folder / "var"):
        pass


def test_a_remembered_port_is_kept_while_free_and_replaced_when_taken(tmp_path: Path) -> None:
    port = kept_port(tmp_path / "port")
    assert kept_port(tmp_path / "port") == port
    argv = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)]
    stranger = Running(tmp_path, Child("stranger", argv, ready=lambda: port_answers(port)))
    stranger.start()
    stranger.wait_ready()
    try:
        assert kept_port(tmp_path / "port") != port
        with pytest.raises(StartError, match=f"port {port}, meant for the console, is in use"):
            require_port(port, "the console")
    finally:
        stranger.stop()


CHOOSER = """
import sys
from pathlib import Path
from cli.embedded import files
files._PORTS = range(int(sys.argv[1]), int(sys.argv[1]) + 1)
files.kept_port(Path(sys.argv[2]))
"""


def test_a_port_that_was_chosen_is_given_to_nobody_else_before_its_server_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = kept_port(tmp_path / "mine")
    monkeypatch.setattr(files, "_PORTS", range(port, port + 1))
    with pytest.raises(StartError, match="no free port"):
        kept_port(tmp_path / "another")
    command = [sys.executable, "-c", CHOOSER, str(port), str(tmp_path / "theirs")]
    other = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert "no free port" in other.stderr
    assert port_is_free(port)
    assert kept_port(tmp_path / "mine") == port
    while files._chosen:
        os.close(files._chosen.pop())
    assert subprocess.run(command, capture_output=True, check=False, timeout=PATIENCE).returncode == 0


def test_a_secret_is_made_once_and_private(tmp_path: Path) -> None:
    secret = kept_secret(tmp_path / "secrets" / "ingest")
    assert len(secret) == 32
    assert kept_secret(tmp_path / "secrets" / "ingest") == secret
    assert (tmp_path / "secrets" / "ingest").stat().st_mode & 0o777 == 0o600


def test_a_folder_that_cannot_be_made_or_is_too_small_comes_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartError, match="cannot be written") as caught:
        prepare_folder(tmp_path / "file" / "var")
    assert "--var" in caught.value.advice
    with pytest.raises(StartError, match="MiB of free disk are needed"):
        prepare_folder(tmp_path, free=1 << 60)


def test_a_log_that_grew_too_long_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.embedded.process._LOG_LIMIT", 100)
    running = Running(tmp_path, Child("clerk", [sys.executable, "-c", "import time; time.sleep(60)"]))
    running.log_path.parent.mkdir()
    running.log_path.write_bytes(b"old\n" * 100)
    running.start()
    running.stop()
    assert running.log_path.read_bytes() == b""
    assert running.log_path.with_suffix(".log.1").read_bytes() == b"old\n" * 100
