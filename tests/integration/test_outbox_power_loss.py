"""The power fails at any instruction: what a station has confirmed is there, whatever the disk had left unsynced.

SIGKILL proves nothing about `fsync`, since the kernel keeps what it was given. Here every write of real work is
recorded, and the real outbox is opened on what a disk may hold after each of them.
"""

import os
import random
import re
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from crash_states import CrashState, Disk, crash_states
from edge_parts import keep
from power_loss_work import Beep, Confirmed, Content, Started, Work, content
from recording_vfs import Did, Recorder, Step

from contracts.errors import OutboxError
from edge.outbox import Outbox

SEED = 20260302


class Expected(NamedTuple):
    """What must be there after a step: what was confirmed before it, or already what is confirmed next."""

    before: Confirmed | None
    after: Confirmed | None
    beeps: tuple[str, ...]
    """The texts that got their beep since `before`."""


def expectations(steps: Sequence[Step]) -> list[Expected]:
    found: list[Expected] = []
    after: list[Confirmed | None] = [None]
    for step in reversed(steps):
        after.append(step.mark if isinstance(step.mark, Confirmed) else after[-1])
    after.reverse()
    before, beeps = None, ()
    for at in range(len(steps) + 1):
        mark = steps[at - 1].mark if at else None
        if isinstance(mark, Confirmed):
            before, beeps = mark, ()
        elif isinstance(mark, Beep):
            beeps += mark.texts
        found.append(Expected(before, after[at], beeps))
    return found


class Witness:
    """Opens the outbox on crash states and says what is wrong with what it finds."""

    def __init__(self, folder: Path, steps: Sequence[Step], earlier: Content = frozenset()) -> None:
        self._folder = folder
        self._expected = expectations(steps)
        self._boots = {step.mark.boot for step in steps if isinstance(step.mark, Started)}
        self._earlier = earlier
        self.complaints: Counter[str] = Counter()
        self.opened = 0

    def hear(self, states: Iterator[CrashState]) -> "Counter[str]":
        for state in states:
            self.opened += 1
            put(self._folder, state.files)
            try:
                with Outbox(self._folder / "outbox.db", limit=1000) as outbox:
                    self.complaints.update(self._wrong(outbox, self._expected[state.at]))
            except (OutboxError, sqlite3.Error):
                self.complaints.update(["the outbox cannot be used"])
        return self.complaints

    def _wrong(self, outbox: Outbox, expected: Expected) -> Iterator[str]:
        if outbox._database.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
            yield "the outbox is damaged"
        found = content(outbox)
        bodies = b"\n".join(row[3] for row in found if isinstance(row[3], bytes))
        if not all(text.encode() in bodies for text in expected.beeps):
            yield "a beep was given and its scan is lost"
        before = expected.before.content if expected.before else self._earlier
        after = expected.after.content if expected.after else before
        alone = expected.after is None or expected.after.alone
        if (found not in {before, after}) if alone else not before <= found <= after:
            yield "neither as before the call nor as after it"
        if not alone and set(Counter(re.findall(rb"burst-\d+-\d+", bodies)).values()) - {2}:
            yield "half of what one call added"
        keep(outbox, "after the power came back")
        fresh = content(outbox) - found
        if {row[0] for row in fresh} & self._boots or len(fresh) != 1:
            yield "a number was given out again"


def put(folder: Path, files: dict[str, bytes]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder on a disk that answers at once: what a slower one may leave behind is computed."""
    shared = Path("/dev/shm")  # noqa: S108 - the file system, no guessable name in it
    folder = Path(tempfile.mkdtemp(dir=shared if os.access(shared, os.W_OK) else None)).resolve()
    yield folder
    shutil.rmtree(folder)


def recorded(folder: Path, pragma: str = "") -> list[Step]:
    folder.mkdir()
    recorder = Recorder(folder)
    with recorder.recording():
        Work(recorder, folder / "outbox.db", pragma).everything()
    return recorder.steps


def test_whatever_an_unsynced_disk_leaves_every_confirmed_event_is_there_once_and_whole(memory: Path) -> None:
    steps = recorded(memory / "work")
    did = Counter(step.did for step in steps)
    assert did[Did.SYNC] > 50
    assert did[Did.WRITE] > 300, "the work reaches the log and, through checkpoints, the database itself"
    witness = Witness(memory / "crash", steps)
    assert witness.hear(crash_states(steps, random.Random(SEED), samples=8)) == Counter()
    assert witness.opened > 1000


def test_power_that_fails_again_during_recovery_costs_nothing_either(memory: Path) -> None:
    source = random.Random(SEED)
    steps = recorded(memory / "work")
    states = [state for state in crash_states(steps, source) if state.how == "something"]
    for state in source.sample(states, 12):
        put(memory / "again", state.files)
        with Outbox(memory / "again" / "outbox.db") as outbox:
            earlier = content(outbox)
        put(memory / "again", state.files)
        recorder = Recorder(memory / "again")
        with recorder.recording():
            Work(recorder, memory / "again" / "outbox.db", limit=1000).scan_a_little()
        witness = Witness(memory / "crash", recorder.steps, earlier)
        assert witness.hear(crash_states(recorder.steps, source, disk=Disk.holding(state.files))) == Counter()


@pytest.mark.parametrize("pragma", ["PRAGMA synchronous = OFF", "PRAGMA synchronous = NORMAL"])
def test_without_a_sync_at_every_commit_beeps_are_lost_so_this_test_can_fail(memory: Path, pragma: str) -> None:
    steps = recorded(memory / "work", pragma)
    complaints = Witness(memory / "crash", steps).hear(crash_states(steps, random.Random(SEED)))
    assert complaints["neither as before the call nor as after it"] > 50
    assert complaints["a beep was given and its scan is lost"] > 10


def test_on_a_disk_that_lies_about_its_syncs_beeps_are_lost_so_this_test_can_fail(memory: Path) -> None:
    steps = recorded(memory / "work")
    complaints = Witness(memory / "crash", steps).hear(crash_states(steps, random.Random(SEED), honest=False))
    assert complaints["neither as before the call nor as after it"] > 50
    assert complaints["a beep was given and its scan is lost"] > 10
