"""What the embedded parts keep on disk and need of it: secrets, ports, space, and one owner a folder."""

import errno
import fcntl
import os
import secrets
import shutil
import socket
from collections import deque
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from contracts.errors import StartError

MEBIBYTE = 1 << 20
SMALLEST_FREE = 500 * MEBIBYTE
"""Bytes that must be free before a part starts: a new database, its log and a broker's backlog."""

# Below the range from which Linux serves outgoing connections, which could take a port between two starts.
_PORTS = range(20_000, 32_768)
_PORT_TRIES = 200
_MOST_CHOSEN = 64

_chosen: deque[int] = deque()


def prepare_folder(folder: Path, *, free: int = SMALLEST_FREE) -> Path:
    """Create `folder` and return it resolved; raise StartError if it cannot be written or the disk is nearly full."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise StartError(
            f"the folder {folder} cannot be written: {error.strerror}",
            advice="Give this account the right to write there, or choose another folder with --var.",
        ) from error
    available = shutil.disk_usage(folder).free
    if available < free:
        raise StartError(
            f"{free // MEBIBYTE} MiB of free disk are needed below {folder}; {available // MEBIBYTE} MiB are free",
            advice="Make room, or choose a folder on another disk with --var.",
        )
    return folder.resolve()


def write_private(path: Path, text: str) -> None:
    """Replace `path` by a file that only its owner reads, so that a crash leaves the old or the new text."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def kept_secret(path: Path) -> str:
    """Return the password kept in `path`, making a random one of 192 bits on first use."""
    with suppress(FileNotFoundError):
        return path.read_text(encoding="utf-8").strip()
    secret = secrets.token_urlsafe(24)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_private(path, secret + "\n")
    return secret


def port_is_free(port: int) -> bool:
    """Tell whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def port_answers(port: int) -> bool:
    """Tell whether something accepts connections on this loopback port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def require_port(port: int, purpose: str) -> None:
    """Raise StartError if a port that must be this one, such as the console's, is taken."""
    if not port_is_free(port):
        raise StartError(
            f"port {port}, meant for {purpose}, is in use by another program",
            advice=f"See which one with: ss -ltnp 'sport = :{port}'. Stop it, or choose another port.",
        )


def kept_port(path: Path) -> int:
    """Return the loopback port remembered in `path` if it is still free, else a free one, which is remembered."""
    with suppress(FileNotFoundError, ValueError):
        remembered = int(path.read_text(encoding="ascii"))
        if port_is_free(remembered):
            return remembered
    for _ in range(_PORT_TRIES):
        port = secrets.choice(_PORTS)
        if port_is_free(port) and _choose(port):
            write_private(path, f"{port}\n")
            return port
    raise StartError(
        f"no free port found between {_PORTS.start} and {_PORTS.stop - 1}",
        advice="See what listens with: ss -ltn",
    )


def _choose(port: int) -> bool:
    """Tell whether nobody else has chosen a port at which nothing listens yet; if so, nobody else will for a while.

    A name that belongs to whoever bound it first says so to every process, and the kernel lets go of it by itself.
    """
    name = socket.socket(socket.AF_UNIX)
    try:
        name.bind(f"\0codefence port {port}")
    except OSError as error:
        name.close()
        return error.errno != errno.EADDRINUSE
    if len(_chosen) == _MOST_CHOSEN:
        os.close(_chosen.popleft())
    _chosen.append(name.detach())
    return True


class FolderLock:
    """Makes one process the owner of a folder until it leaves or dies; the kernel releases the lock by itself.

    Entering raises StartError, with the owner's process id, where another process holds the folder.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "lock"
        self._descriptor = -1

    def __enter__(self) -> Self:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise StartError(
                f"Codefence is already running on {self._path.parent}, as process {owner}",
                advice=f"Use that one, stop it with: kill {owner}, or start this one on another folder with --var.",
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        self._descriptor = descriptor
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)
