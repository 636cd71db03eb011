"""PostgreSQL 17 with TimescaleDB, run from a Debian 13 root folder that is made once and kept.

Neither wheel brings TimescaleDB and Debian 12 does not package it. Debian 13 does (the Apache build), and its
packages run in a chroot on any Debian. Making the folder takes about a minute and needs root and debootstrap.
It is for tests, fault rounds and benchmarks; a deployment runs TimescaleDB's own image.
"""

import fcntl
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cli.embedded.files import kept_port
from cli.embedded.postgres import Database
from cli.embedded.process import Child, Running, is_worked_in

_SUITE: Final = "trixie"
_PACKAGE: Final = "postgresql-17-timescaledb"
_BIN: Final = Path("/usr/lib/postgresql/17/bin")
_HOME: Final = Path("/var/lib/postgresql")
_ENVIRONMENT: Final = {"LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
_SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_preload_libraries": "timescaledb",
    "timescaledb.telemetry_level": "off",
    "dynamic_shared_memory_type": "mmap",  # the folder has no /dev/shm
    "timezone": "UTC",
    "max_wal_size": "512MB",
}
_ORPHAN_SECONDS: Final = 10.0


def unavailable() -> str:
    """Return why the folder can neither be made nor used here; empty where it can."""
    if os.geteuid() != 0:
        return "TimescaleDB runs in a chroot, which only root can enter"
    if not _root().is_dir() and shutil.which("debootstrap") is None:
        return "debootstrap is absent, which fetches TimescaleDB: apt-get install debootstrap"
    if not _root().is_dir() and not _mirror():
        return "apt knows no Debian mirror here, from which TimescaleDB could be fetched"
    return ""


def prepared_root(progress: Callable[[str], None]) -> Path:
    """Return the folder, made if it is not there yet; raises `CalledProcessError` with debootstrap's own words."""
    root = _root()
    with _alone(root.parent):
        if not root.is_dir():
            progress(f"making {root} once, from {_mirror()}: 700 MB, one to three minutes …")
            _make(root, progress)
    return root


class TimescaleServer:
    """A server with a cluster of its own; its log is at `folder`/log/timescale.log.

    `settings` are of postgresql.conf. It offers what `EmbeddedPostgres` does: it may be killed and started again.
    """

    def __init__(
        self, folder: Path, progress: Callable[[str], None], settings: Mapping[str, str] | None = None
    ) -> None:
        self._root = prepared_root(progress)
        _remove_leftovers(self._root)
        self._inner = _HOME / f"test-{os.getpid()}-{secrets.token_hex(4)}"
        password = secrets.token_urlsafe(12)
        self.database = Database("127.0.0.1", kept_port(folder / "port"), "postgres", password)
        self.home = _inside(self._root, self._inner)
        self.process = Running(folder, self._child({**_SETTINGS, **(settings or {})}))

    def start(self) -> Database:
        """Start the server, on an empty cluster the first time, and return once it answers."""
        if not self.home.is_dir():
            _init_cluster(self._root, self._inner, self.database.password)
        self.process.start()
        self.process.wait_ready()
        return self.database

    def stop(self) -> None:
        """Shut down at once but cleanly."""
        self.process.stop()

    def remove(self) -> None:
        """Stop the server and remove its cluster."""
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)

    def _child(self, settings: Mapping[str, str]) -> Child:
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        data = ["-D", str(self._inner / "data"), "-c", f"port={self.database.port}"]
        return Child(
            name="timescale",
            argv=_as_postgres(self._root, "postgres", *data, *options),
            env=_ENVIRONMENT,
            ready=self.database.answers,
            stop_signal=signal.SIGINT,
            stop_within=30.0,
            before_start=self._wait_for_orphans,
        )

    def _wait_for_orphans(self) -> None:
        """Let the backends of a killed server end, since a new one refuses to share memory with them."""
        data = self.home / "data"
        deadline = time.monotonic() + _ORPHAN_SECONDS
        while is_worked_in(data) and time.monotonic() < deadline:
            time.sleep(0.05)
        (data / "postmaster.pid").unlink(missing_ok=True)


@contextmanager
def timescale(folder: Path, progress: Callable[[str], None]) -> Iterator[Database]:
    """Run a server with an empty cluster of its own that need not outlive a power cut."""
    server = TimescaleServer(folder, progress, {"fsync": "off"})
    try:
        yield server.start()
    finally:
        server.remove()


def program(name: str, *arguments: str) -> list[str]:
    """Return the command line of one of PostgreSQL's programs in the folder, which must be there."""
    return _as_postgres(_root(), name, *arguments)


def _root() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "codefence" / f"{_SUITE}-{_PACKAGE}"


def _mirror() -> str:
    """Return the Debian mirror that this machine's apt uses, or nothing."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Component: main"]
    if shutil.which(command[0]) is None:
        return ""
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return next((uri for uri in listed if uri.rstrip("/").endswith("/debian")), "")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(root: Path, progress: Callable[[str], None]) -> None:
    """Make the folder under another name first: what is there under its own name is whole."""
    fresh = root.with_name(f"{root.name}.new")
    _discard(fresh)
    command = ["debootstrap", "--variant=minbase", f"--include={_PACKAGE}", _SUITE, str(fresh), _mirror()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as making:
        said = []
        for number, line in enumerate(making.stdout or (), start=1):
            said.append(line)
            if number % 100 == 0:
                progress(f"  {line.strip()}")
    if making.returncode != 0:
        _discard(fresh)
        raise subprocess.CalledProcessError(making.returncode, command, output="".join(said[-20:]))
    shutil.rmtree(fresh / "var" / "cache" / "apt" / "archives", ignore_errors=True)
    fresh.rename(root)


def _discard(folder: Path) -> None:
    # An interrupted debootstrap leaves /proc and /sys mounted inside, which must not be emptied.
    for mounted in ("proc", "sys"):
        if os.path.ismount(folder / mounted):
            subprocess.run(["/bin/umount", str(folder / mounted)], check=True)
    subprocess.run(["/bin/rm", "-rf", "--one-file-system", str(folder)], check=True)


def _inside(root: Path, path: Path) -> Path:
    return root / path.relative_to("/")


def _as_postgres(root: Path, program: str, *arguments: str) -> list[str]:
    """Return a command line in the folder, unprivileged, that ends with the process that started it."""
    account = ["/usr/bin/setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig=INT"]
    return ["/usr/sbin/chroot", str(root), *account, str(_BIN / program), *arguments]


def _init_cluster(root: Path, home: Path, password: str) -> None:
    inside, owner = _inside(root, home), _inside(root, _HOME).stat()
    inside.mkdir(mode=0o700)
    given = inside / "password"
    given.write_text(password, encoding="ascii")
    for path in (inside, given):
        os.chown(path, owner.st_uid, owner.st_gid)
    arguments = ["-D", str(home / "data"), "-U", "postgres", f"--pwfile={home}/password", "--auth=scram-sha-256"]
    arguments += ["--encoding=UTF8", "--locale=C", "--no-sync", "--set", "dynamic_shared_memory_type=mmap"]
    command = _as_postgres(root, "initdb", *arguments)
    subprocess.run(command, env=_ENVIRONMENT, capture_output=True, text=True, check=True)
    given.unlink()


def _remove_leftovers(root: Path) -> None:
    """Remove the clusters of test runs that were killed."""
    for left in _inside(root, _HOME).glob("test-*"):
        if not Path("/proc", left.name.split("-")[1]).is_dir():
            shutil.rmtree(left)
