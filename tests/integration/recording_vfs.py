"""Records what SQLite asks of the disk: a VFS laid over the one in use, in the very library that the outbox uses.

It is registered with ctypes in the SQLite that Python's own `sqlite3` is linked to, and made the default, so that the
code under test opens its file as always. Every call goes on to the real VFS; writes, truncations, syncs, creations and
deletions are noted in order.
"""

import _sqlite3
import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import CFUNCTYPE, POINTER, c_char_p, c_int, c_int64, c_void_p
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar

_OK = 0
_OPEN_CREATE, _OPEN_MAIN_JOURNAL, _OPEN_WAL = 0x4, 0x800, 0x80000


class Did(Enum):
    CREATE = "create"
    DELETE = "delete"
    WRITE = "write"
    TRUNCATE = "truncate"
    SYNC = "sync"
    SYNC_FOLDER = "sync folder"
    MARK = "mark"
    """Not the disk's: something that the test noted at this point."""


@dataclass(frozen=True)
class Step:
    did: Did
    file: int = 0
    """A file's number, of its own for each time that a name is created."""
    name: str = ""
    offset: int = 0
    data: bytes = b""
    mark: object = None


_File = c_void_p
_Write = CFUNCTYPE(c_int, _File, c_void_p, c_int, c_int64)
_Truncate = CFUNCTYPE(c_int, _File, c_int64)
_Sync = CFUNCTYPE(c_int, _File, c_int)
# The name goes on as the very pointer that came: SQLite keeps it, and a copy would soon be gone.
_Open = CFUNCTYPE(c_int, c_void_p, c_void_p, _File, c_int, POINTER(c_int))
_Delete = CFUNCTYPE(c_int, c_void_p, c_char_p, c_int)


class _Methods(ctypes.Structure):
    """`sqlite3_io_methods`, version 3."""

    _fields_: ClassVar = [
        ("iVersion", c_int),
        ("xClose", c_void_p),
        ("xRead", c_void_p),
        ("xWrite", _Write),
        ("xTruncate", _Truncate),
        ("xSync", _Sync),
        *((f"other{number}", c_void_p) for number in range(13)),
    ]


class _Handle(ctypes.Structure):
    """`sqlite3_file`."""

    _fields_: ClassVar = [("pMethods", POINTER(_Methods))]


class _Vfs(ctypes.Structure):
    """`sqlite3_vfs`, version 3."""

    _fields_: ClassVar = [
        ("iVersion", c_int),
        ("szOsFile", c_int),
        ("mxPathname", c_int),
        ("pNext", c_void_p),
        ("zName", c_char_p),
        ("pAppData", c_void_p),
        ("xOpen", _Open),
        ("xDelete", _Delete),
        *((f"other{number}", c_void_p) for number in range(14)),
    ]


class Recorder:
    """The steps so far, of all files in one folder; notes of the test stand between them."""

    def __init__(self, folder: Path) -> None:
        self.steps: list[Step] = []
        self._folder = folder
        self._lock = threading.Lock()
        self._numbers: dict[str, int] = {each.name: 0 for each in folder.iterdir()}
        self._numbers = {name: number for number, name in enumerate(sorted(self._numbers), start=1)}
        self._last = len(self._numbers)
        self._open: dict[int, tuple[int, bool]] = {}
        """By the address of an open file: its number, and whether its first sync syncs the folder too."""
        self._library = ctypes.CDLL(_sqlite3.__file__)
        self._library.sqlite3_vfs_find.restype = POINTER(_Vfs)
        self._real = self._library.sqlite3_vfs_find(None)
        self._kept: list[Any] = []
        self._shim = _Vfs.from_buffer_copy(self._real.contents)
        self._shim.zName = b"recording"
        self._shim.xOpen = _Open(self._on_open)
        self._shim.xDelete = _Delete(self._on_delete)

    def mark(self, mark: object) -> None:
        self._note(Step(Did.MARK, mark=mark))

    @contextmanager
    def recording(self) -> Iterator["Recorder"]:
        """Record every database that is opened meanwhile; close them before the end."""
        assert self._library.sqlite3_vfs_register(ctypes.byref(self._shim), 1) == _OK
        try:
            yield self
        finally:
            self._library.sqlite3_vfs_unregister(ctypes.byref(self._shim))
            self._library.sqlite3_vfs_register(self._real, 1)

    def _note(self, step: Step) -> None:
        with self._lock:
            self.steps.append(step)

    def _on_open(self, _vfs: int, text: int | None, file: int, flags: int, out: Any) -> int:  # noqa: ANN401 - ctypes
        outcome: int = self._real.contents.xOpen(ctypes.cast(self._real, c_void_p), text, file, flags, out)
        handle = ctypes.cast(file, POINTER(_Handle)).contents
        if outcome != _OK or text is None or not handle.pMethods:
            return outcome
        path = Path(ctypes.string_at(text).decode())
        if path.parent != self._folder:
            return outcome
        name = path.name
        is_new = name not in self._numbers
        if is_new:
            assert flags & _OPEN_CREATE
            self._last += 1
            self._numbers[name] = self._last
            self._note(Step(Did.CREATE, self._last, name))
        # SQLite's own VFS syncs the folder with the first sync of a log or journal that it has made.
        self._open[file] = (self._numbers[name], is_new and bool(flags & (_OPEN_WAL | _OPEN_MAIN_JOURNAL)))
        handle.pMethods = ctypes.pointer(self._over(handle.pMethods.contents))
        return outcome

    def _over(self, real: _Methods) -> _Methods:
        write, truncate, sync = real.xWrite, real.xTruncate, real.xSync

        def on_write(file: int, data: int, size: int, offset: int) -> int:
            self._note(Step(Did.WRITE, self._open[file][0], offset=offset, data=ctypes.string_at(data, size)))
            return int(write(file, data, size, offset))

        def on_truncate(file: int, size: int) -> int:
            self._note(Step(Did.TRUNCATE, self._open[file][0], offset=size))
            return int(truncate(file, size))

        def on_sync(file: int, flags: int) -> int:
            outcome = int(sync(file, flags))
            number, with_folder = self._open[file]
            self._note(Step(Did.SYNC, number))
            if with_folder:
                self._note(Step(Did.SYNC_FOLDER))
                self._open[file] = (number, False)
            return outcome

        shim = _Methods.from_buffer_copy(real)
        shim.xWrite, shim.xTruncate, shim.xSync = _Write(on_write), _Truncate(on_truncate), _Sync(on_sync)
        self._kept += [shim, real, write, truncate, sync]
        return shim

    def _on_delete(self, _vfs: int, path: bytes, sync_folder: int) -> int:
        outcome: int = self._real.contents.xDelete(ctypes.cast(self._real, c_void_p), path, sync_folder)
        name = Path(path.decode()).name
        if outcome == _OK and Path(path.decode()).parent == self._folder:
            self._note(Step(Did.DELETE, self._numbers.pop(name, 0), name))
            if sync_folder:
                self._note(Step(Did.SYNC_FOLDER))
        return outcome
