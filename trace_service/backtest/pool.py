"""Several worlds, one after another or side by side; what was done stays done when the run is broken off."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from contracts.wording import counted
from trace_service.backtest.run import Outcome, Progress, run_world
from trace_service.backtest.scoring import Score
from trace_service.backtest.tables import require
from trace_service.detection.calibration import Calibration
from trace_service.detection.settings import Settings

_KEPT: Final = "outcome.json"
_FORM: Final = 4
"""What an outcome counts: one that was kept by another form is made anew."""


class _Kept(Struct):
    """An outcome with what it depends on."""

    made_of: str
    outcome: Outcome


def run_worlds(folders: Sequence[Path], out: Path, processes: int, progress: Progress) -> list[Outcome]:
    """Run every world into a folder of its own below `out`, in their order. Raises WorldError."""
    targets = dict(zip(_names(folders), folders, strict=True))
    found: dict[str, Outcome] = {}
    for name, folder in targets.items():
        kept = _kept(folder, out / name)
        if kept is not None:
            progress(f"{name}: taken from the last run")
            found[name] = kept
    missing = [name for name in targets if name not in found]
    for name, outcome in _fresh(missing, targets, out, processes):
        told = f"{counted(outcome.scans, 'scan')}, {counted(outcome.alerts, 'alert')}"
        progress(f"{name}: {told}, {outcome.cpu_s:.1f} s of processor")
        found[name] = outcome
    return [found[name] for name in targets]


def _fresh(names: Sequence[str], targets: dict[str, Path], out: Path, processes: int) -> Iterator[tuple[str, Outcome]]:
    if processes <= 1 or len(names) <= 1:
        for name in names:
            yield name, _run(targets[name], out / name)
        return
    with ProcessPoolExecutor(max_workers=processes) as executor:
        waiting = {executor.submit(_run, targets[name], out / name): name for name in names}
        for done in as_completed(waiting):
            yield waiting[done], done.result()


def _run(folder: Path, out: Path) -> Outcome:
    made_of = _made_of(folder)
    outcome = run_world(folder, out, _silent)
    (out / _KEPT).write_bytes(msgspec.json.encode(_Kept(made_of, outcome)))
    return outcome


def _silent(line: str) -> None:
    del line


def _kept(folder: Path, out: Path) -> Outcome | None:
    """Return the outcome of a former run of the same engine on the same events."""
    path = out / _KEPT
    if not path.is_file():
        return None
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=_Kept)
    except msgspec.DecodeError:
        return None
    return kept.outcome if kept.made_of == _made_of(folder) else None


def _made_of(folder: Path) -> str:
    events = require(folder, "events.jsonl").stat()
    return (
        f"{_FORM} {folder.resolve()} {events.st_size} {events.st_mtime_ns} {Settings().version} {Calibration().version}"
    )


def _names(folders: Sequence[Path]) -> list[str]:
    """Name each world by its folder, with a number where two have the same."""
    names: list[str] = []
    for folder in folders:
        name = folder.resolve().name
        names.append(name if name not in names else f"{name}-{len(names) + 1}")
    return names


def pooled(outcomes: Sequence[Outcome]) -> dict[str, Score]:
    """Return each method's score over all worlds with labels."""
    total: dict[str, Score] = {}
    for outcome in outcomes:
        for name, score in outcome.scores.items():
            total.setdefault(name, Score()).add(score)
    return total
