"""The same demand forecast by statsforecast's methods for intermittent demand, played and scored in the same way."""

import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

import numpy as np

from benchmarks.frame import Figure, Progress
from trace_service.replenishment.demand.history import History
from trace_service.replenishment.demand.kernel import Floats, first_sales
from trace_service.replenishment.demand.moments import Moment, moment
from trace_service.replenishment.trials.methods import Method, order_levels
from trace_service.replenishment.trials.replay import Protocol, play
from trace_service.replenishment.trials.scores import HORIZONS, daily_forecast, wrmsse

_MODELS: Final[dict[str, tuple[str, dict[str, float]]]] = {
    "croston_sba": ("CrostonSBA", {}),
    "tsb": ("TSB", {"alpha_d": 0.05, "alpha_p": 0.05}),
    "imapa": ("IMAPA", {}),
    "adida": ("ADIDA", {}),
}


def compare(history: History, protocol: Protocol, progress: Progress) -> dict[str, Figure]:
    """Return cover for 95 %, WRMSSE and CPU seconds of each method; nothing where the package is not installed."""
    if find_spec("statsforecast") is None:
        progress("statsforecast skipped: pip install 'codefence[compare]'")
        return {}
    models: Any = import_module("statsforecast.models")
    figures: dict[str, Figure] = {}
    for name, (kind, settings) in _MODELS.items():
        progress(f"statsforecast {kind}")
        began = time.process_time()
        method = Method(_daily(getattr(models, kind)(**settings)))
        figures |= {f"statsforecast_{name}_{key}": value for key, value in _played(method, history, protocol).items()}
        figures[f"statsforecast_{name}_cpu_s"] = round(time.process_time() - began, 1)
    return figures


def _daily(model: Any) -> Callable[[History, Moment], Floats]:  # noqa: ANN401  the package comes without types
    known: dict[int, Floats] = {}

    def daily(_: History, now: Moment) -> Floats:
        """Forecast each series from its first sale on, as our own methods do."""
        if now.now not in known:
            first = first_sales(now.units)
            rows = [now.units[at, start:].astype(float) for at, start in enumerate(first)]
            known[now.now] = np.array([float(model.forecast(y=row, h=1)["mean"][0]) for row in rows])
        return known[now.now]

    return daily


def _played(method: Method, history: History, protocol: Protocol) -> dict[str, Figure]:
    swept = method.sweep(int(np.median(history.lead)))
    replay = play(
        history, lambda day: order_levels(method, history, moment(history, day, {}), swept, protocol.refresh), swept,
        protocol, protocol.refresh,
    )  # fmt: skip
    cover = replay.cover_at(0.95)
    found: dict[str, Figure] = {"cover_95": round(cover, 2) if cover else "not reached"}
    longest = max(HORIZONS)
    for days in HORIZONS:
        scores = []
        for day in range(protocol.begin, protocol.end - longest + 1, longest):
            now = moment(history, day, {})
            scores.append(wrmsse(history, now, daily_forecast(method, history, now, days)))
        found[f"wrmsse_{days}"] = round(float(np.mean(scores)), 4)
    return found
