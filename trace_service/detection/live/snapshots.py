"""Snapshots of a brand's engine, so that a new worker need not feed it its whole log again.

A snapshot is what `pickle` makes of the engine, compressed. It is read only where three things hold: its code (every
module of the engine and its detectors, Python and numpy) and its places are the present ones, its seal (HMAC-SHA-256
by a key derived from the service's) is right for this brand and place in the log, and nothing in it but classes of the
engine and its detectors and plain containers is named: no function, and nothing that their modules import. Whatever
fails, the log has everything: it is fed again from the beginning.
"""

import gc
import hashlib
import hmac
import io
import os
import pickle
import signal
import sys
import zlib
from contextlib import suppress
from enum import Enum
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import structlog

from trace_service.detection.engine import Engine
from trace_service.detection.live.queries import SQL
from trace_service.detection.network import Place
from trace_service.store.connection import Connection, connect

EVERY: Final = 50_000
"""Observations from one snapshot to the next."""
_LONGEST_S: Final = 300
_PROTOCOL: Final = 5
_FASTEST: Final = 1
_STANDARD_ERROR: Final = 2
_ENGINE: Final = ("trace_service.detection", "trace_service.detection.detectors")
_CONTAINERS: Final = frozenset(
    {
        ("builtins", "dict"), ("builtins", "list"), ("builtins", "set"), ("builtins", "frozenset"),
        ("collections", "Counter"), ("collections", "defaultdict"), ("collections", "deque"),
        ("msgspec._utils", "rebuild"), ("numpy", "dtype"), ("numpy", "ndarray"),
        ("numpy._core.numeric", "_frombuffer"), ("numpy._core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "scalar"),
    }
)  # fmt: skip

log = structlog.get_logger(__name__)


class Snapshot(NamedTuple):
    """An engine, and the number of the observation in its brand's log that it saw last."""

    engine: Engine
    last: int


class Snapshots:
    """Keeps the newest snapshot of each brand in the database. Not for several threads."""

    def __init__(self, dsn: str, key: bytes, every: int = EVERY) -> None:
        self.every = every
        self._dsn, self._key = dsn, key
        self._child: int | None = None

    def load(self, connection: Connection, brand: str, places: tuple[Place, ...]) -> Snapshot | None:
        """Return the brand's engine as it was kept; None where nothing usable was."""
        row = connection.execute(SQL["snapshot"], {"brand": brand, "fingerprint": _fingerprint(places)}).fetchone()
        if row is None:
            return None
        if not hmac.compare_digest(self._seal(brand, row.seq, row.fingerprint, row.state), row.seal):
            log.error("a snapshot was not made by this service", action="live.seal_broken", brand=brand)
            return None
        gc.disable()  # nothing of it is garbage, and looking for some takes ten times as long as reading
        try:
            engine = read_engine(row.state)
        except (pickle.UnpicklingError, zlib.error, AttributeError, EOFError, ImportError, LookupError, TypeError,
                ValueError) as error:  # fmt: skip
            log.warning("a snapshot cannot be read", action="live.unreadable", brand=brand, error=str(error))
            return None
        finally:
            gc.enable()
        return Snapshot(engine, row.seq)

    def save(self, connection: Connection, brand: str, found: Snapshot) -> None:
        """Keep an engine as it is now, unless a later one was kept."""
        fingerprint = _fingerprint(found.engine.network.places)
        state = write_engine(found.engine)
        row = {"brand": brand, "seq": found.last, "fingerprint": fingerprint, "state": state}
        connection.execute(SQL["keep_snapshot"], {**row, "seal": self._seal(brand, found.last, fingerprint, state)})

    def begin(self, brand: str, found: Snapshot) -> bool:
        """Keep an engine as it is now without waiting for it; return False where the one before is not done yet.

        A copy of the process does it, which sees the engine as it was at this moment while this one goes on.
        """
        if self.is_busy():
            return False
        gc.freeze()  # neither process walks through the whole engine for garbage
        self._child = os.fork()
        if self._child == 0:
            self._work(brand, found)
        return True

    def is_busy(self) -> bool:
        """Whether a snapshot is still being written."""
        if self._child is not None and os.waitpid(self._child, os.WNOHANG)[0]:
            self._child = None
        return self._child is not None

    def _work(self, brand: str, found: Snapshot) -> None:
        """Save in a process of its own, which ends here; whatever it inherited stays as it is."""
        code = 1
        try:
            signal.alarm(_LONGEST_S)
            _let_go()
            gc.disable()
            with connect(self._dsn, "trace snapshot") as connection:
                self.save(connection, brand, found)
            code = 0
        except Exception:
            log.exception("no snapshot was kept", action="live.snapshot_failed", brand=brand)
        finally:
            os._exit(code)

    def _seal(self, brand: str, seq: int, fingerprint: str, state: bytes) -> bytes:
        about = msgspec.json.encode([brand, seq, fingerprint])
        return hmac.digest(self._key, about + b"\n" + state, "sha256")


def write_engine(engine: Engine) -> bytes:
    """Return an engine as `read_engine` reads it."""
    made = io.BytesIO()
    _Writer(made, _PROTOCOL).dump(engine)
    return zlib.compress(made.getbuffer(), _FASTEST)


def read_engine(state: bytes) -> Engine:
    """Return the engine of a snapshot whose seal was found right.

    Raises what `pickle` and `zlib` raise; `UnpicklingError` where something is named, or comes out, that is no engine.
    """
    found = _Reader(io.BytesIO(zlib.decompress(state))).load()
    if not isinstance(found, Engine):
        raise pickle.UnpicklingError("the snapshot holds no engine")
    return found


def _let_go() -> None:
    """Close the files of the process that was copied: were it killed, its locks and its port would stay taken."""
    for each in list(Path("/dev/fd").iterdir()):
        if (number := int(each.name)) > _STANDARD_ERROR:
            with suppress(OSError):  # the one that the list was read through
                os.close(number)


class _Writer(pickle.Pickler):
    """Writes members of enumerations as their class and value: before 3.11.4 Python names `getattr` for them."""

    def reducer_override(self, obj: object) -> Any:  # noqa: ANN401  as the base class has it
        return (type(obj), (obj.value,)) if isinstance(obj, Enum) else NotImplemented


class _Reader(pickle.Unpickler):
    """Knows the classes that the engine and its detectors define and plain containers, and no other name."""

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401  as the base class has it
        if (module, name) in _CONTAINERS:
            return super().find_class(module, name)
        if module.rpartition(".")[0] in _ENGINE:
            found = super().find_class(module, name)
            # A name with dots in it would reach whatever the module imports.
            if isinstance(found, type) and (found.__module__, found.__qualname__) == (module, name):
                return found
        message = f"{module}.{name} is no part of an engine"
        raise pickle.UnpicklingError(message)


@cache
def _fingerprint(places: tuple[Place, ...]) -> str:
    """Return what a snapshot is bound to: the code that made it, and the places that its engine counts by."""
    digest = hashlib.sha256(f"{sys.version_info[:2]} {np.__version__}".encode())
    for package in _ENGINE:
        for module in sorted(resources.files(package).iterdir(), key=lambda each: each.name):
            if module.name.endswith(".py"):
                digest.update(module.name.encode())
                digest.update(module.read_bytes())
    digest.update(msgspec.json.encode(places))
    return digest.hexdigest()
