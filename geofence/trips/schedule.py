"""Stops in their order and their times: arrivals, departures, stays, and stops that were passed by."""

from typing import Final

from geofence.trips.book import Span, end_episode, once, ongoing, raise_episode, seconds
from geofence.trips.episodes import Kind, NoteCode
from geofence.trips.ground import Ground
from geofence.trips.plan import Role
from geofence.trips.presence import Passage
from geofence.trips.reports import Fix
from geofence.trips.state import State, StopState

_PAST_FIXES: Final = 3
_BLIND_MS: Final = 90_000
_USUAL_MPS: Final = 20.0


def passed(ground: Ground, state: State, passage: Passage) -> None:
    """Take note of a site that was entered or left."""
    if passage.role is Role.FORBIDDEN:
        return
    if passage.entered:
        if _resumed(ground, state, passage):
            return
        number = _stop_at(ground, state, passage)
        if number is not None:
            _arrived(ground, state, number, passage.at)
        return
    for number, stop in enumerate(state.stops):
        if stop.arrived is not None and stop.left is None and ground.plan.stops[number].site == passage.site:
            _left(ground, state, number, passage.at)


def _resumed(ground: Ground, state: State, passage: Passage) -> bool:
    """Whether the truck is back at the stop that it seemed to have left, and so never left it."""
    number = state.next_stop - 1
    if number < 0 or ground.plan.stops[number].site != passage.site or state.stops[number].left is None:
        return False
    if state.hypotheses and state.hypotheses[0].s > ground.line.starts[number] + ground.rules.skipped_after_m:
        return False
    state.stops[number].left = None
    state.next_stop = number
    return True


def _stop_at(ground: Ground, state: State, passage: Passage) -> int | None:
    # A depot may be the first stop and the last: it is the one whose place along the route the truck has come to.
    reach = ground.rules.stop_reach_m
    for number in range(state.next_stop, len(state.stops)):
        if ground.plan.stops[number].site != passage.site:
            continue
        at = ground.line.starts[number]
        if not state.hypotheses:
            if number == 0:
                return number
            continue
        best = state.hypotheses[0]
        driven = ground.rules.top_speed_mps * max(0, passage.at - best.at) / 1000.0
        if best.s + driven + reach >= at:
            return number
    return None


def _arrived(ground: Ground, state: State, number: int, at: int) -> None:
    for before in range(state.next_stop, number):
        _skip(ground, state, before, at)
    stop, plan = state.stops[number], ground.plan.stops[number]
    stop.arrived, stop.left = at, None
    state.next_stop, state.past = number, 0
    subject = str(number)
    closes = plan.closes
    if closes is not None and at > closes + _grace(ground):
        going = ongoing(state, Kind.LATE_ARRIVAL, subject)
        if going is not None or once(state, Kind.LATE_ARRIVAL, subject):
            episode = going or raise_episode(state, Kind.LATE_ARRIVAL, Span(closes, at), subject)
            episode.note(NoteCode.AFTER_SCHEDULE, stop=number, seconds=seconds(at - closes))
    end_episode(state, Kind.LATE_ARRIVAL, at, subject)


def _left(ground: Ground, state: State, number: int, at: int) -> None:
    stop, plan = state.stops[number], ground.plan.stops[number]
    arrived = stop.arrived or at
    stayed = seconds(at - arrived)
    short = stayed + min(ground.rules.presence_s, plan.min_dwell_s / 2) < plan.min_dwell_s
    if short and number > 0:
        stop.arrived, stop.short_s = None, max(stayed, stop.short_s or 0.0)
        return
    stop.left = at
    state.next_stop = max(state.next_stop, number + 1)
    subject = str(number)
    episode = end_episode(state, Kind.OVERSTAY, at, subject)
    if episode is not None:
        episode.note(NoteCode.STAYED, stop=number, seconds=stayed, most_s=plan.max_dwell_s or 0)
    episode = end_episode(state, Kind.LATE_DEPARTURE, at, subject)
    if episode is not None and plan.departs_by is not None:
        episode.note(NoteCode.AFTER_SCHEDULE, stop=number, seconds=seconds(at - plan.departs_by))
    if plan.opens is not None and at < plan.opens - _grace(ground):
        early = raise_episode(state, Kind.LEFT_EARLY, Span(at, at, at), subject)
        early.note(NoteCode.BEFORE_SCHEDULE, stop=number, seconds=seconds(plan.opens - at))


def followed(ground: Ground, state: State, fix: Fix, before: float | None) -> None:
    """See whether a stop was passed by; `before` is where along the route the fix before was."""
    if state.next_stop >= len(state.stops) or not state.hypotheses or state.hypotheses[0].at != fix.at:
        return
    s = state.hypotheses[0].s
    last = state.last
    if before is not None and last is not None and fix.at - last.at >= _BLIND_MS:
        _blind(ground, state, (before, s), seconds(fix.at - last.at))
    number = state.next_stop
    stop = state.stops[number]
    if s <= ground.line.starts[number] + ground.rules.skipped_after_m or state.away:
        state.past = 0
        return
    state.past += 1
    if state.past < _PAST_FIXES:
        return
    if stop.arrived is not None and stop.left is None:
        _left(ground, state, number, fix.at)
    if state.next_stop == number:
        _skip(ground, state, number, fix.at)


def _blind(ground: Ground, state: State, stretch: tuple[float, float], lasted_s: float) -> None:
    """Give the truck the benefit of the doubt where it may have stopped while nothing was heard of it."""
    low, high = min(stretch) - 500.0, max(stretch) + 500.0
    to_spare = lasted_s - (max(stretch) - min(stretch)) / _USUAL_MPS
    for number in range(state.next_stop, len(state.stops)):
        if low <= ground.line.starts[number] <= high and to_spare >= ground.plan.stops[number].min_dwell_s / 2:
            state.stops[number].settled = True


def _skip(ground: Ground, state: State, number: int, at: int) -> None:
    stop = state.stops[number]
    state.next_stop, state.past = max(state.next_stop, number + 1), 0
    # Before the first stop a truck may drive without its tracker: nobody can say that it was not there.
    if stop.settled or stop.arrived is not None or number == 0:
        stop.settled = True
        return
    stop.settled = True
    episode = raise_episode(state, Kind.SKIPPED_STOP, Span(at, at, at), str(number))
    episode.see(at)
    if stop.short_s is None:
        episode.note(NoteCode.NEVER_VISITED, stop=number)
    else:
        least = ground.plan.stops[number].min_dwell_s
        episode.note(NoteCode.STAYED_TOO_SHORT, stop=number, seconds=stop.short_s, least_s=least)
    late = ongoing(state, Kind.LATE_ARRIVAL, str(number))
    if late is not None:
        late.end = at


def tick(ground: Ground, state: State, at: int, *, silent: bool) -> None:
    """Let time pass: what should have happened by now, and has not."""
    if state.finished is not None or state.next_stop >= len(state.stops):
        return
    number = state.next_stop
    stop, plan = state.stops[number], ground.plan.stops[number]
    grace = _grace(ground)
    if stop.arrived is None:
        due = plan.closes
        if due is not None and at > due + grace and not (silent or stop.settled or number == 0):
            _overdue(state, Kind.LATE_ARRIVAL, (due, at), number)
        return
    if number == len(state.stops) - 1 and seconds(at - stop.arrived) >= plan.min_dwell_s:
        state.finished = at
        return
    if plan.departs_by is not None and at > plan.departs_by + grace:
        _overdue(state, Kind.LATE_DEPARTURE, (plan.departs_by, at), number)
    if plan.max_dwell_s is not None and at > stop.arrived + plan.max_dwell_s * 1000 + grace:
        due = stop.arrived + plan.max_dwell_s * 1000
        if ongoing(state, Kind.OVERSTAY, str(number)) is None:
            episode = raise_episode(state, Kind.OVERSTAY, Span(due, at), str(number))
            episode.note(
                NoteCode.STAYED, stop=number, seconds=seconds(at - stop.arrived), most_s=float(plan.max_dwell_s)
            )


def conclude(ground: Ground, state: State, at: int) -> None:
    """End the trip: what was not visited by now never will be."""
    if state.finished is None and not state.heard:
        # Of a truck that was never heard of nobody knows what it skipped.
        raise_episode(state, Kind.MISSING_SIGNAL, Span(at, at, at)).note(NoteCode.NEVER_HEARD)
        state.finished = at
    if state.finished is None:
        for number in range(state.next_stop, len(state.stops)):
            if state.stops[number].arrived is None:
                _skip(ground, state, number, at)
        state.finished = at
    for episode in state.episodes:
        if episode.end is None:
            episode.end = max(at, episode.start)
            state.changed = True


def _overdue(state: State, kind: Kind, moments: tuple[int, int], number: int) -> None:
    due, at = moments
    if not once(state, kind, str(number)):
        return
    episode = raise_episode(state, kind, Span(due, at), str(number))
    episode.note(NoteCode.AFTER_SCHEDULE, stop=number, seconds=seconds(at - due))


def _grace(ground: Ground) -> int:
    return ground.rules.grace_s * 1000


def fresh(ground: Ground) -> list[StopState]:
    """Return the stops of a trip that has not begun."""
    return [StopState() for _ in ground.plan.stops]
