from dataclasses import replace

import pytest

from benchmarks.load.custody_check import TRANSITIONS, check
from benchmarks.load.custody_histories import make_history
from benchmarks.load.custody_memory import MemoryCustody
from trace_service.domain import custody, moves
from trace_service.domain.events import Step
from trace_service.domain.scene import Outcome, Scene


def test_histories_with_late_and_doubled_events_end_as_the_naive_reference_says() -> None:
    report = check(range(2_000))
    print(*report.coverage(), sep="\n")  # noqa: T201  shown with -s, and when something differs
    assert report.events >= 30 * report.histories
    assert report.differing == []
    # The full run of `codefence bench histories` meets every one.
    assert set(report.missing) <= {(Step.UNPACK, "transfer_pending")}


def test_a_fifth_of_the_events_come_late_or_twice() -> None:
    late = total = 0
    for seed in range(200):
        history = make_history(seed)
        arrived = [event.source.seq for batch in history.batches for event in batch]
        total += len(history.events)
        latest = -1
        seen: set[int] = set()
        for batch in history.batches:
            numbers = [event.source.seq for event in batch]
            late += sum(number in seen or number < latest for number in numbers)
            seen.update(numbers)
            latest = max([latest, *numbers])
        assert set(arrived) == {event.source.seq for event in history.events}
    assert 0.17 < late / total < 0.25


def test_a_rule_that_is_broken_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def lax(scene: Scene) -> Outcome:
        return moves.ship(replace(scene, contents=lambda: ()))

    monkeypatch.setitem(custody.RULES, Step.SHIP, lax)  # type: ignore[arg-type]
    assert check(range(150)).differing


def test_a_change_that_reaches_too_few_units_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MemoryCustody, "_dependents", lambda *_: {})
    assert check(range(150)).differing


def test_every_step_has_its_transitions() -> None:
    assert TRANSITIONS.keys() == set(Step)
