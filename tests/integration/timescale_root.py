"""PostgreSQL 17 with TimescaleDB, run from a Debian 13 root folder that is made once and kept.

Neither wheel brings TimescaleDB and Debian 12 does not package it. Debian 13 does (the Apache build), and its
packages run in a chroot on any Debian. Making the folder takes about a minute and needs root and debootstrap.
"""

import fcntl
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg

from cli.embedded.files import kept_port
from cli.embedded.postgres import Database
from cli.embedded.process import Child, Running

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
    "fsync": "off",
}


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


@contextmanager
def timescale(folder: Path, progress: Callable[[str], None]) -> Iterator[Database]:
    """Run a server with an empty cluster of its own; its log is at `folder`/log/timescale.log."""
    root = prepared_root(progress)
    port = kept_port(folder / "port")
    password = secrets.token_urlsafe(12)
    database = Database("127.0.0.1", port, "postgres", password)
    _remove_leftovers(root)
    data = _HOME / f"test-{os.getpid()}"
    running = Running(folder, _server(root, data, database))
    try:
        _init_cluster(root, data, password)
        running.start()
        running.wait_ready()
        yield database
    finally:
        running.stop()
        shutil.rmtree(_inside(root, data), ignore_errors=True)


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
            subprocess.run(["umount", str(folder / mounted)], check=True)
    subprocess.run(["rm", "-rf", "--one-file-system", str(folder)], check=True)


def _inside(root: Path, path: Path) -> Path:
    return root / path.relative_to("/")


def _as_postgres(root: Path, program: str, *arguments: str) -> list[str]:
    """Return a command line in the folder, unprivileged, that ends with the process that started it."""
    account = ["/usr/bin/setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig=INT"]
    return ["/usr/sbin/chroot", str(root), *account, str(_BIN / program), *arguments]


def _init_cluster(root: Path, data: Path, password: str) -> None:
    given = _inside(root, data).with_suffix(".password")
    given.write_text(password, encoding="ascii")
    home = _inside(root, _HOME).stat()
    os.chown(given, home.st_uid, home.st_gid)
    arguments = ["-D", str(data), "-U", "postgres", f"--pwfile={data}.password", "--auth=scram-sha-256"]
    arguments += ["--encoding=UTF8", "--locale=C", "--no-sync", "--set", "dynamic_shared_memory_type=mmap"]
    command = _as_postgres(root, "initdb", *arguments)
    subprocess.run(command, env=_ENVIRONMENT, capture_output=True, text=True, check=True)
    given.unlink()


def _server(root: Path, data: Path, database: Database) -> Child:
    settings = {**_SETTINGS, "port": str(database.port)}
    options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]

    def answers() -> bool:
        try:
            psycopg.connect(database.dsn(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    return Child(
        name="timescale",
        argv=_as_postgres(root, "postgres", "-D", str(data), *options),
        env=_ENVIRONMENT,
        ready=answers,
        stop_signal=signal.SIGINT,
    )


def _remove_leftovers(root: Path) -> None:
    """Remove the clusters of test runs that were killed."""
    for left in _inside(root, _HOME).glob("test-*"):
        owner = left.name.removeprefix("test-").removesuffix(".password")
        if not Path("/proc", owner).is_dir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
