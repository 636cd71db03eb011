"""The frame of a benchmark: figures, the targets they are held against, and the machine they were taken on.

A benchmark is a module in this package with a function `run(progress) -> Outcome`; its docstring's first line is
what `codefence bench` lists. `progress` takes a line of text for people and may be called as often as useful.
"""

import ast
import operator
import os
import pkgutil
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, Protocol, cast

import benchmarks
from contracts.errors import CodefenceError

Figure = float | int | str
Progress = Callable[[str], None]
_COMPARE: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
}


class Target(NamedTuple):
    """What a figure must be."""

    comparison: Literal[">=", "<=", "=="]
    bound: Figure

    def is_met(self, figure: Figure) -> bool:
        """Whether a figure reaches the bound."""
        return _COMPARE[self.comparison](figure, self.bound)


class Outcome(NamedTuple):
    """What one run measured. Keys say the unit: `…_ms`, `…_percent`, `…_per_s`. Every target names a figure."""

    figures: Mapping[str, Figure]
    targets: Mapping[str, Target] = {}

    @property
    def met(self) -> bool:
        """Whether every target is reached."""
        return all(target.is_met(self.figures[key]) for key, target in self.targets.items())


class Benchmark(Protocol):
    """What a module in this package offers."""

    def run(self, progress: Progress) -> Outcome:
        """Measure; raises `DataMissingError` where the data that it needs is not on this machine."""
        ...


class DataMissingError(CodefenceError):
    """A benchmark's data lies outside the repository and is not there."""

    code = "DATA_MISSING"


def names() -> dict[str, str]:
    """Return every benchmark with its one-line description, without importing any."""
    found = {}
    for module in pkgutil.iter_modules(benchmarks.__path__):
        if module.ispkg:
            continue
        tree = ast.parse(Path(benchmarks.__path__[0], f"{module.name}.py").read_text(encoding="utf-8"))
        if any(isinstance(node, ast.FunctionDef) and node.name == "run" for node in tree.body):
            found[module.name] = (ast.get_docstring(tree) or "").partition("\n")[0]
    return found


def data_folder(name: str) -> Path:
    """Return a folder of real data beside the checkout, or below `CODEFENCE_DATA` where that is set."""
    beside = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    folder = Path(os.environ.get("CODEFENCE_DATA", beside)) / name
    if not folder.is_dir():
        raise DataMissingError(f"there is no folder {folder}", advice="Set CODEFENCE_DATA to the folder that holds it.")
    return folder


def machine() -> dict[str, str | int]:
    """Return what the figures depend on: processor, usable cores, Python and operating system."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "os": f"{platform.system()} {platform.release()}",
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in {"model name", "Model"}:
            return value.strip()
    return platform.machine()


def as_benchmark(module: object) -> Benchmark:
    """Return an imported module under the interface that its `run` gives it."""
    return cast("Benchmark", module)
