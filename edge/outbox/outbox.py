"""The outbox: every event is on disk here before anything else happens to it.

One thread writes. Whatever callers hand in while it commits shares the next transaction, so that one fsync serves a
burst and a single scan waits for nothing but its own. Callers that came together are waited for the next time too, for
at most 10 ms, so that a crowd costs a storage card as few writes as can be.
"""

import fcntl
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self, TypeVar

import structlog

from contracts.errors import CodefenceError, OutboxError
from contracts.messages import Ack, Resend
from edge.durable import sync_folder
from edge.outbox.room import ADVICE, Room
from edge.outbox.store import Draft, Row, Settled, Store, open_database

_T = TypeVar("_T")
_GROUP: Final = 200
_GATHER_SECONDS: Final = 0.01
_PRUNE_SECONDS: Final = 600.0
_PRUNE_SETTLED: Final = 500
DEFAULT_LIMIT: Final = 200_000
_log = structlog.get_logger(__name__)


class _Job(NamedTuple):
    work: Callable[[Store], object]
    promise: "Future[object]"
    adds: bool


def now_ms() -> int:
    """Return the time in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class Outbox:
    """An SQLite file that one agent at a time keeps its events in; use it as a context manager, from any thread.

    Every method returns after its effect is on disk, and raises `OutboxError` where the disk does not take it.
    """

    def __init__(self, path: Path, *, limit: int = DEFAULT_LIMIT, clock: Callable[[], int] = now_ms) -> None:
        self._clock = clock
        self._lock = _lock(path)
        try:
            self._database = open_database(path)
        except OutboxError:
            self._lock.close()
            raise
        try:
            self._room = Room(self._database, path.parent)
            self._store = Store(self._database, limit=limit, now=clock())
        except sqlite3.Error as error:
            self._database.close()
            self._lock.close()
            raise _failure(error) from error
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._wake: Callable[[], None] = lambda: None
        self._pruned = float("-inf")
        self._settled = 0
        self._crowd = 1
        self._thread = threading.Thread(target=self._write, name="outbox")
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def boot(self) -> str:
        """What events added now are numbered under."""
        return self._store.boot

    @property
    def depth(self) -> int:
        """How many events wait for their acknowledgement."""
        return self._store.depth

    def on_added(self, wake: Callable[[], None]) -> None:
        """Have `wake` called after every commit that added events."""
        self._wake = wake

    def add(self, drafts: Sequence[Draft], notes: Mapping[str, str] | None = None) -> list[bool]:
        """Keep events and notes, all or none; see `Store.add`. Raises `OutboxFullError` too."""
        kept = self._do(lambda store: self._add(store, drafts, notes or {}), adds=True)
        self._wake()
        return kept

    def take(self, limit: int, *, after: int = 0, except_ids: Collection[int] = ()) -> list[Row]:
        """Return waiting rows, the oldest first; see `Store.take`."""
        return self._do(lambda store: store.take(limit, after=after, except_ids=except_ids))

    def newest(self) -> int:
        """Return the id of the newest row."""
        return self._do(Store.newest)

    def settle(self, ack: Ack) -> Settled:
        """Take note of an application's acknowledgement."""
        settled = self._do(lambda store: store.settle(ack, self._clock()))
        self._settled += len(settled.ids)
        return settled

    def reopen(self, request: Resend) -> int:
        """Make a range wait again; see `Store.reopen`."""
        missing = self._do(lambda store: store.reopen(request, self._clock()))
        self._wake()
        return missing

    def last_of_earlier_boots(self) -> list[Row]:
        """Return the last settled event of each earlier start; see `Store.last_of_earlier_boots`."""
        return self._do(Store.last_of_earlier_boots)

    def notes(self, prefix: str = "") -> dict[str, str]:
        """Return what was noted with `add` under names that begin so, also before a restart."""
        return self._do(lambda store: store.notes(prefix))

    def close(self) -> None:
        """Commit what was handed in and close the file."""
        if self._thread.is_alive():
            self._jobs.put(None)
            self._thread.join()
            try:
                self._database.close()
            finally:
                self._lock.close()

    def _add(self, store: Store, drafts: Sequence[Draft], notes: Mapping[str, str]) -> list[bool]:
        self._room.require()
        return store.add(drafts, notes)

    def _do(self, work: Callable[[Store], _T], *, adds: bool = False) -> _T:
        if not self._thread.is_alive():
            raise OutboxError("the outbox is closed")
        promise: Future[_T] = Future()
        self._jobs.put(_Job(work, promise, adds))  # type: ignore[arg-type]  # the promise holds what `work` returns
        return promise.result()

    def _write(self) -> None:
        ended = False
        while not ended:
            group: list[_Job] = []
            job = self._jobs.get()
            began = time.monotonic()
            while job is not None:
                group.append(job)
                if len(group) == _GROUP:
                    break
                try:
                    job = self._jobs.get(timeout=self._patience(group, began))
                except queue.Empty:
                    break
            ended = job is None
            if group:
                self._crowd = sum(each.adds for each in group)
                self._commit(group)

    def _patience(self, group: list[_Job], began: float) -> float:
        """Return how many seconds to wait for more to share a transaction: none where the last crowd is complete."""
        if len(group) >= self._crowd or not all(job.adds for job in group):
            return 0.0
        return max(0.0, began + _GATHER_SECONDS - time.monotonic())

    def _commit(self, group: list[_Job]) -> None:
        """Do the group's work in one transaction, then let every caller know."""
        try:
            is_short = self._room.is_short()
            if is_short:
                self._room.reclaim()
            self._database.execute("BEGIN IMMEDIATE")
            if is_short and self._room.is_ours():
                self._store.make_room()
            outcomes = [_outcome(job.work, self._store) for job in group]
            if self._settled >= _PRUNE_SETTLED or time.monotonic() - self._pruned > _PRUNE_SECONDS:
                self._pruned, self._settled = time.monotonic(), 0
                self._store.prune(self._clock())
            self._database.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - handed to the callers, who wait for it in their own threads
            self._roll_back(group, error)
            return
        self._store.committed()
        for job, (value, failure) in zip(group, outcomes, strict=True):
            if failure is None:
                job.promise.set_result(value)
            else:
                job.promise.set_exception(failure)

    def _roll_back(self, group: list[_Job], error: Exception) -> None:
        # Where even this fails, the next transaction cannot begin, and ends here again.
        with suppress(sqlite3.Error):
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
        self._store.rolled_back()
        for job in group:
            job.promise.set_exception(_failure(error))
        _log.critical("the outbox cannot write", action="outbox.failed", reason=str(error))


def _failure(error: Exception) -> OutboxError:
    failure = OutboxError(f"the outbox cannot write: {error}", advice=ADVICE)
    failure.__cause__ = error
    return failure


def _outcome(work: Callable[[Store], object], store: Store) -> tuple[object, CodefenceError | None]:
    """Do one caller's work; a refusal, raised before anything was written, is its own and not its neighbours'."""
    try:
        return work(store), None
    except CodefenceError as refusal:
        return None, refusal


def _lock(path: Path) -> "_LockFile":
    try:
        _make_folder(path.parent)
        return _LockFile(path.with_suffix(".lock"))
    except OSError as error:
        advice = "EDGE_DATA must be a folder that this user may write to."
        raise OutboxError(f"the folder {path.parent} cannot be used: {error.strerror}", advice=advice) from error


def _make_folder(folder: Path) -> None:
    """Make the folder and its parents so that they outlive a power cut; SQLite sees to what is in it."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        sync_folder(each.parent)


class _LockFile:
    """Held while an agent runs: two on one outbox would give the same sequence numbers out."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            raise OutboxError(
                f"another agent uses the outbox in {path.parent}", advice="Give each agent its own EDGE_DATA."
            ) from error

    def close(self) -> None:
        self._file.close()
