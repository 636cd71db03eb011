import threading
from pathlib import Path
from typing import Any

import pytest
from edge_parts import keep, scan_draft
from recording_vfs import Did, Recorder

from contracts.messages import Ack
from edge.outbox import Outbox
from edge.outbox import outbox as module
from edge.outbox.inspection import inspect
from edge.outbox.store import KEPT_ROWS


def crowd(outbox: Outbox, people: int, each: int) -> None:
    def add(name: int) -> None:
        for number in range(each):
            keep(outbox, f"{name}-{number}")

    threads = [threading.Thread(target=add, args=(name,)) for name in range(people)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def syncs(recorder: Recorder) -> int:
    return sum(step.did is Did.SYNC for step in recorder.steps)


def test_a_crowd_shares_commits_and_a_lone_scan_has_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_GATHER_SECONDS", 1.0)  # however late a busy machine lets them come
    recorder = Recorder(tmp_path)
    with recorder.recording(), Outbox(tmp_path / "outbox.db") as outbox:
        outbox._database.execute("PRAGMA wal_autocheckpoint = 0")
        before = syncs(recorder)
        for number in range(10):
            keep(outbox, str(number))
        assert syncs(recorder) - before == 10
        before = syncs(recorder)
        crowd(outbox, people=16, each=20)
        assert syncs(recorder) - before < 320 / 4
        assert outbox.depth == 330


def test_of_those_who_come_alone_after_a_crowd_only_the_first_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert module._GATHER_SECONDS < 0.05, "a moment"
    monkeypatch.setattr(module, "_GATHER_SECONDS", 1.0)
    waits: list[float] = []
    patience = Outbox._patience

    def recorded(*asked: Any) -> float:  # noqa: ANN401  as the method has them
        waits.append(patience(*asked))
        return waits[-1]

    monkeypatch.setattr(Outbox, "_patience", recorded)
    with Outbox(tmp_path / "outbox.db") as outbox:
        crowd(outbox, people=8, each=5)
        waits.clear()
        keep(outbox, "the first")
        for number in range(60):
            keep(outbox, f"alone {number}")
    assert len(waits) > 60
    assert sum(each > 0 for each in waits) <= 1


def test_what_is_acknowledged_stays_bounded_while_a_backlog_drains_and_the_oldest_goes_first(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    with Outbox(path, limit=KEPT_ROWS + 10_000) as outbox:
        total = KEPT_ROWS + 4000
        draft = scan_draft("one of many")
        outbox.add([draft] * total)
        for first in range(1, total, 100):
            outbox.settle(Ack(boot=outbox.boot, committed=((first, first + 99),)))
        assert KEPT_ROWS <= inspect(path).acknowledged <= KEPT_ROWS + 600
        kept = outbox._database.execute("SELECT min(seq), max(seq), count(*) FROM event").fetchone()
        assert kept == (total - kept[2] + 1, total, kept[2])
