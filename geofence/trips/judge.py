"""The judgement of one trip, report by report: put in order, freed of doubles and of impossible positions.

Reports wait for `Rules.reorder_s` for earlier ones. One that comes later still is put in its place and the trip is
judged again from its beginning: what had been raised and no longer holds is retracted. So in the end it does not matter
in which order reports came.
"""

from bisect import insort
from collections.abc import Callable, Iterable
from copy import deepcopy

from geofence.trips import follow, presence, schedule, watch
from geofence.trips.episodes import Change, Episode, differences
from geofence.trips.ground import Ground
from geofence.trips.plan import TripPlan
from geofence.trips.plane import distance_m
from geofence.trips.reports import Fix, Handling, Report
from geofence.trips.rules import DEFAULT_RULES
from geofence.trips.state import State

Recall = Callable[[], Iterable[Report]]


class Judge:
    """Follows one trip.

    `state` continues an earlier judgement. `recall` returns every report of the trip so far, in any order, those just
    observed included; without it, this object remembers them itself.
    """

    def __init__(self, ground: Ground, state: State | None = None, recall: Recall | None = None) -> None:
        self._ground = ground
        self._rules = ground.rules
        self._reports: list[Report] = []
        self._recall = recall
        self.state = state or _fresh(ground)

    @property
    def episodes(self) -> list[Episode]:
        """Every violation that stands."""
        return self.state.episodes

    def observe(self, reports: Iterable[Report]) -> list[Change]:
        """Take reports in any order; return what they change. Reports seen before change nothing."""
        state, late = self.state, False
        for report in reports:
            if self._recall is None:
                self._reports.append(report)
            late |= not _take(state, report)
        if late:
            self._judge_again()
        else:
            self._catch_up(state, state.newest - self._rules.reorder_s * 1000)
        return self._news()

    def advance(self, now: int) -> list[Change]:
        """Let time pass up to `now`, milliseconds since the epoch: silence and missed moments show by that alone."""
        until = now - self._rules.reorder_s * 1000
        self._catch_up(self.state, until)
        if until > self.state.judged:
            self._tick(self.state, until)
            self.state.judged = until
        return self._news()

    def conclude(self, now: int) -> list[Change]:
        """End the trip: nothing more is waited for, and open episodes end."""
        self._catch_up(self.state, self.state.newest)
        schedule.conclude(self._ground, self.state, max(now, self.state.newest))
        return self._news()

    def _catch_up(self, state: State, until: int) -> None:
        count = 0
        for fix in state.waiting:
            if fix.at > until:
                break
            count += 1
            self._step(state, fix)
        del state.waiting[:count]

    def _step(self, state: State, fix: Fix) -> None:
        while state.handled and state.handled[0].at <= fix.at:
            state.pending.append(state.handled.pop(0))
        self._tick(state, fix.at)
        state.judged = max(state.judged, fix.at)
        if state.finished is not None:
            return
        if fix.accuracy_m > self._rules.usable_accuracy_m or not self._believed(state, fix):
            state.heard = fix.at
            return
        watch.heard(state, fix)
        before = state.hypotheses[0].s if state.hypotheses else None
        passages = presence.step(self._ground, state, fix)
        followed = follow.step(self._ground, state, fix)
        for passage in passages:
            schedule.passed(self._ground, state, passage)
            watch.forbidden(state, passage)
        schedule.followed(self._ground, state, fix, before)
        if not followed:
            watch.crossing(self._ground, state, fix)
        watch.handling(self._ground, state, fix)
        watch.standing(self._ground, state, fix)
        state.last = fix

    def _tick(self, state: State, at: int) -> None:
        silent = watch.silence(self._ground, state, at)
        schedule.tick(self._ground, state, at, silent=silent)

    def _believed(self, state: State, fix: Fix) -> bool:
        """Whether a truck can have come here; an impossible jump is believed once a second fix confirms it."""
        last, suspect = state.last, state.suspect
        state.suspect = None
        if last is None or self._possible(last, fix) or (suspect is not None and self._possible(suspect, fix)):
            return True
        state.suspect = fix
        return False

    def _possible(self, one: Fix, other: Fix) -> bool:
        lasted = max(1.0, (other.at - one.at) / 1000.0)
        reach = self._rules.top_speed_mps * lasted + one.accuracy_m + other.accuracy_m + 50.0
        return distance_m((one.lon, one.lat), (other.lon, other.lat)) <= reach

    def _judge_again(self) -> None:
        told, judged = self.state.told, self.state.judged
        state = _fresh(self._ground)
        for report in sorted(self._recall() if self._recall else self._reports, key=_moment):
            _take(state, report)
        self._catch_up(state, max(judged, state.newest - self._rules.reorder_s * 1000))
        if judged > state.judged:
            self._tick(state, judged)
            state.judged = judged
        state.told, state.changed = told, True
        self.state = state

    def _news(self) -> list[Change]:
        state = self.state
        if not state.changed:
            return []
        state.changed = False
        changes, state.told = differences(state.told, deepcopy(state.episodes))
        return changes


def judge_trip(plan: TripPlan, reports: Iterable[Report]) -> list[Episode]:
    """Return what went wrong on a trip that is over."""
    judge = Judge(Ground(plan, DEFAULT_RULES))
    judge.observe(reports)
    judge.conclude(judge.state.newest)
    return judge.episodes


def _fresh(ground: Ground) -> State:
    return State(stops=schedule.fresh(ground))


def _moment(report: Report) -> tuple[int, str]:
    return report.at, report.device


def _take(state: State, report: Report) -> bool:
    """Put a report in its place among those that wait; return False for one that comes after its turn."""
    if isinstance(report, Handling):
        if report.at <= state.judged:
            return False
        if report not in state.handled:
            insort(state.handled, report)
        return True
    if report.at <= state.judged:
        return False
    waiting = state.waiting
    if not waiting or report.at > waiting[-1].at:
        waiting.append(report)
    elif all((each.at, each.device) != (report.at, report.device) for each in waiting):
        insort(waiting, report)
    state.newest = max(state.newest, report.at)
    return True
