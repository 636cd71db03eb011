"""Where to look next: places ranked by what an hour there is expected to give, and days made of them.

    found = prospects(known, now, seed)            # `gain` explains the model
    order = ranked(found, base)                    # the list of one inspector
    tours = plan(found, bases, now, seed)          # the days of the best-placed inspectors

A day is made by greedy insertion: of all stops and of all places between two stops, the one that brings most for each
hour it adds, as long as the inspector is home in time (Solomon, Algorithms for the vehicle routing and scheduling
problems with time window constraints, 1987, insertion heuristic; the orienteering problem's usual start). Days have
few stops, so that an exact tour is hardly ever shorter.

About one stop in ten is drawn by lot, by people alone, from what the inspector can reach. It is what the others are
held against: without it a plan proves itself right by looking only where it believes something to be.
"""

from collections.abc import Sequence

import numpy as np

from trace_service.detection.settings import DAY_MS
from trace_service.inspections.model import Base, Prospect, Share, Tour, Visit
from trace_service.inspections.tours import Day, Field, Rules


def ranked(prospects: Sequence[Prospect], base: Base) -> list[Visit]:
    """Return every place within a day's reach of a base, what an hour gives most first, each as a tour of its own."""
    field = Field(prospects)
    if not prospects:
        return []
    hours = 2 * field.km_from(base.lat, base.lon) / base.speed_kmh + Rules().visit_hours
    order = np.argsort(-field.worth / hours, kind="stable")
    return [
        Visit(prospect=prospects[each], share=Share.PLANNED, hours=float(hours[each]))
        for each in order.tolist()
        if hours[each] <= base.hours
    ]


def plan(
    prospects: Sequence[Prospect], bases: Sequence[Base], now: int, seed: int, rules: Rules | None = None
) -> list[Tour]:
    """Return the days of the `rules.crews` inspectors whose days are worth most; no place is visited twice."""
    if not prospects:
        return []
    rules, field = rules or Rules(), Field(prospects)
    random = np.random.default_rng([seed, now // DAY_MS, 1])
    taken: set[int] = set()
    free, found = list(bases), []
    for _ in range(min(rules.crews, len(bases))):
        days = [Day(field, base, rules) for base in free]
        for day in days:
            day.fill(taken)
        best = max(days, key=lambda each: each.worth)
        best.draw_lots(taken, random)
        taken.update(best.stops)
        free.remove(best.base)
        if best.stops:
            found.append(best.tour())
    return found
