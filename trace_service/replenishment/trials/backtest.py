"""Policies side by side on one history: what `codefence replenish backtest` prints."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import cache
from typing import Any, Final

import numpy as np

from trace_service.replenishment.demand.history import History
from trace_service.replenishment.demand.moments import Moment, moment
from trace_service.replenishment.trials.methods import METHODS, Method, order_levels
from trace_service.replenishment.trials.replay import Protocol, Replay, play
from trace_service.replenishment.trials.scores import HORIZONS, SUMS, daily_forecast, pinball, wrmsse
from trace_service.words import catalogue

FILLS: Final = (0.95, 0.97)
COVER: Final = 8.0
_DIGITS: Final = 4
Moments = Callable[[int], Moment]


def backtest(
    history: History, names: Sequence[str], protocol: Protocol, holidays: Mapping[date, str]
) -> list[dict[str, Any]]:
    """Play every named policy; return one report each, whose keys docs/replenishment.md explains."""

    @cache
    def at(day: int) -> Moment:
        return moment(history, day, holidays)

    return [_report(name, METHODS[name], history, protocol, at) for name in names]


def _report(name: str, method: Method, history: History, protocol: Protocol, at: Moments) -> dict[str, Any]:
    swept = method.sweep(int(np.median(history.lead)))
    every = method.every or protocol.refresh
    replay = play(
        history, lambda day: order_levels(method, history, at(day), swept, every), swept, protocol, every
    )  # fmt: skip
    found: dict[str, Any] = {"policy": name, "summary": catalogue("en")[f"trial.policy.{name}"]}
    found["cover_days"] = {f"{fill:.0%}".rstrip("%"): _rounded(replay.cover_at(fill)) for fill in FILLS}
    found["fill_at_8_days"] = _rounded(replay.fill_at(COVER))
    found["setting"] = {f"{fill:.0%}".rstrip("%"): _rounded(replay.at_fill(fill, replay.swept)) for fill in FILLS}
    found["wrmsse"] = _wrmsse(method, history, protocol, at)
    found["pinball"] = _pinball(method, history, protocol, at)
    found["waste_percent"] = _percent(replay.at_fill(FILLS[0], replay.waste))
    found["cost_percent"] = _percent(replay.at_fill(FILLS[0], replay.cost))
    found["curve"] = _curve(replay, "days" if method.fixed else "level")
    return found


def _wrmsse(method: Method, history: History, protocol: Protocol, at: Moments) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    longest = max(HORIZONS)
    origins = range(protocol.begin, protocol.end - longest + 1, longest)
    for days in HORIZONS:
        scores = [wrmsse(history, at(day), daily_forecast(method, history, at(day), days)) for day in origins]
        found[str(days)] = _rounded(float(np.mean(scores))) if scores and method.scored else None
    return found


def _pinball(method: Method, history: History, protocol: Protocol, at: Moments) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for days in SUMS:
        origins = range(protocol.begin, protocol.end - days + 1, protocol.refresh)
        scores = [pinball(method, history, at(day), days) for day in origins] if method.scored else []
        found[str(days)] = _rounded(float(np.mean(scores))) if scores and not method.fixed else None
    return found


def _curve(replay: Replay, unit: str) -> list[dict[str, float]]:
    columns = zip(replay.swept, replay.fill, replay.cover, replay.waste, replay.cost, strict=True)
    return [
        {
            unit: round(float(swept), _DIGITS), "fill": round(float(fill), 5), "cover_days": round(float(cover), 3),
            "waste_percent": round(100 * float(waste), 3), "cost_percent": round(100 * float(cost), 3),
        }
        for swept, fill, cover, waste, cost in columns
    ]  # fmt: skip


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)


def _percent(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 3)
