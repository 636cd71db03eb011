"""Detection: a generated year through the engine, beside the rules that are commonly used instead.

Published figures are pooled over twenty worlds by `codefence backtest`; this is one small one, for processor time.
"""

import os
import tempfile
import time
from pathlib import Path

# A year has thousands of small matrix products: more threads than one only wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from benchmarks.frame import Outcome, Progress, Target
from firmware_sim.world.model import make_world
from firmware_sim.world.parameters import Request
from firmware_sim.world.telling.writing import write_world
from trace_service.backtest.feed import Feed
from trace_service.backtest.naive import PROVINCE
from trace_service.backtest.run import EVIDENCE, run_world
from trace_service.backtest.scoring import Score
from trace_service.backtest.world import read_world
from trace_service.detection.engine import Engine
from trace_service.detection.network import Network

_SEED = 15
_DEALERS = 80
_ITEMS = 90_000


def run(progress: Progress) -> Outcome:
    """Generate a world, run it, and time the engine alone on the same stream."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "world")
        progress(f"generating {_DEALERS} dealers and {_ITEMS} items, seed {_SEED}")
        write_world(make_world(Request(seed=_SEED, dealers=_DEALERS, items=_ITEMS)), folder, progress, compressed=False)
        progress("the engine and the rules")
        outcome = run_world(folder, Path(scratch, "out"), progress)
        evidence, naive = outcome.scores[EVIDENCE], outcome.scores[PROVINCE]
        figures = _timed(folder, progress) | {
            "year_s": round(outcome.read_s + outcome.cpu_s, 1),
            "precision": _value(evidence.alerts.value),
            "recall_core": _recall(evidence),
            "false_per_million": round(evidence.false_per_million or 0),
            "rule_precision": _value(naive.alerts.value),
            "rule_recall_core": _recall(naive),
            "rule_false_per_million": round(naive.false_per_million or 0),
        }
    figures["times_fewer_false"] = round(figures["rule_false_per_million"] / max(1.0, figures["false_per_million"]), 1)
    return Outcome(figures, {"engine_ms_per_scan": Target("<=", 0.1), "year_s": Target("<=", 120)})


def _timed(folder: Path, progress: Progress) -> dict[str, float]:
    """Time the engine alone: every scan of a case or item is one observation."""
    world = read_world(folder, progress)
    network = Network(world.channel)
    stream = list(Feed(world, network))
    engine = Engine(network)
    began = time.process_time()
    for observation in stream:
        engine.observe(observation)
    spent = time.process_time() - began
    return {
        "scans": len(stream),
        "engine_s": round(spent, 1),
        "engine_ms_per_scan": round(1000 * spent / len(stream), 4),
    }


def _value(share: float | None) -> float:
    return round(share or 0.0, 3)


def _recall(score: Score) -> float:
    core = score.recall.get("core")
    return _value(core.value if core else None)
