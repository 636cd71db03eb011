"""Following the route: where along it the truck is, whether it left it, turned round, or cannot have driven it.

A route may pass a place twice, on the way out and on the way back. So each fix keeps a few hypotheses of where along
the route it is; what would be odd (driving back, driving faster than a truck does) costs metres, the cheapest is
believed, and nothing is held against a truck that one that costs little explains.
"""

from math import inf
from typing import Final

from geofence.trips.book import Span, end_episode, ongoing, raise_episode, seconds
from geofence.trips.episodes import Kind, NoteCode
from geofence.trips.ground import Ground
from geofence.trips.line import Match
from geofence.trips.presence import at_site
from geofence.trips.reports import Fix
from geofence.trips.state import Hypothesis, State

_SLACK_M: Final = 150.0
_LEAP_M: Final = 500.0
_LEAP_FIXES: Final = 3
_UNMOVED_M: Final = 300.0
_MISSED_FIXES: Final = 3
_PRUNED_M: Final = 5_000.0
_MOST: Final = 6
_BACK_FIXES: Final = 2
_AWAY_SHARE: Final = 0.1
_LEAST_AWAY_S: Final = 90.0


def step(ground: Ground, state: State, fix: Fix) -> bool:
    """Follow one fix; return whether it may have come along the route since the fix before."""
    rules = ground.rules
    found = ground.line.matches(fix.lon, fix.lat)
    disc = rules.clear_of_radii * fix.accuracy_m
    near = [each for each in found if each.away - disc <= each.width + rules.corridor_margin_m]
    if not near:
        _away(ground, state, fix, found)
        return False
    was_away = bool(state.away)
    followed = _advance(ground, state, fix, near)
    best = state.hypotheses[0]
    if min(fix.accuracy_m, best.width / 2) + min(each.away for each in near) <= best.width:
        _back(state, fix)
    if was_away or at_site(state):
        _forget_turns(state)
    else:
        _turn(ground, state, fix)
        _leap(state, fix)
    return followed and not was_away


def _advance(ground: Ground, state: State, fix: Fix, near: list[Match]) -> bool:
    """Carry the hypotheses on to the places near a fix; return whether the best of them was possible."""
    slack = _SLACK_M + 2 * fix.accuracy_m
    fresh = [_best(ground, state.hypotheses, match, fix, slack) for match in near]
    unmoved = min((each.cost for each in state.hypotheses), default=0.0)
    followed = bool(state.hypotheses) and min(each.cost for each in fresh) <= unmoved + slack
    if state.hypotheses and not followed:
        # Perhaps this fix is the odd one, and the next is where the truck was expected.
        for each in state.hypotheses:
            each.cost += _UNMOVED_M * 2**each.missed
            each.missed += 1
        fresh += [each for each in state.hypotheses if each.missed <= _MISSED_FIXES]
    fresh.sort(key=lambda each: each.cost)
    least = fresh[0].cost
    # One of those that fit this fix stays, however odd: the next fixes may leave nothing else.
    fits = next(each for each in fresh if each.at == fix.at)
    state.hypotheses = [each for each in fresh if each.cost - least <= _PRUNED_M or each is fits][:_MOST]
    for each in state.hypotheses:
        each.cost -= least
    return followed


def _best(ground: Ground, before: list[Hypothesis], match: Match, fix: Fix, slack: float) -> Hypothesis:
    if not before:
        # Where it is at first: rather near the beginning.
        here = (fix.lon, fix.lat)
        return Hypothesis(match.s, fix.at, here, 0.01 * match.s, match.width, match.away, match.s, fix.at, match.s)
    least, chosen, leapt = inf, before[0], 0.0
    for each in before:
        moved = match.s - each.s
        possible = ground.rules.top_speed_mps * max(0, fix.at - each.at) / 1000.0 + slack
        # Going back counts as a whole, in however small steps.
        odd = (
            max(0.0, moved - possible) if moved > 0 else _back_m(each, match.s, slack) - _back_m(each, each.low, slack)
        )
        if each.cost + odd < least:
            least, chosen, leapt = each.cost + odd, each, odd if moved > 0 else 0.0
    cost = least + _AWAY_SHARE * match.away
    here, peak, peak_at = (fix.lon, fix.lat), chosen.peak, chosen.peak_at
    made = Hypothesis(match.s, fix.at, here, cost, match.width, match.away, peak, peak_at, chosen.low)
    made.low = min(chosen.low, match.s)
    if chosen.leap_m:
        made.leap_m, made.leap_from, made.leap_to = chosen.leap_m, chosen.leap_from, chosen.leap_to
        made.leap_fixes = chosen.leap_fixes + 1
    if match.s >= made.peak or match.s - made.low >= ground.rules.turned_back_m:
        made.peak, made.peak_at, made.low = match.s, fix.at, match.s
    # Where the route meets itself, one may change over without leaving it.
    if leapt >= _LEAP_M and not ground.straight_stays_inside(chosen.place, here):
        made.leap_m, made.leap_from, made.leap_to, made.leap_fixes = match.s - chosen.s, chosen.at, fix.at, 1
    return made


def _back_m(each: Hypothesis, s: float, slack: float) -> float:
    return max(0.0, each.peak - min(each.low, s) - slack)


def _away(ground: Ground, state: State, fix: Fix, found: list[Match]) -> None:
    if at_site(state):
        return
    rules = ground.rules
    state.back = 0
    state.away.append(fix.at)
    if len(state.away) > rules.off_route_fixes:
        del state.away[1]
    since = state.away[0]
    metres = found[0].away if found else ground.line.far_m(fix.lon, fix.lat)
    state.away_m = max(state.away_m, metres)
    lasted = seconds(fix.at - since)
    often = len(state.away) >= rules.off_route_fixes and lasted >= _LEAST_AWAY_S
    if not often and not (len(state.away) > 1 and lasted >= 2 * rules.off_route_s):
        return
    going = ongoing(state, Kind.OFF_ROUTE)
    episode = going or raise_episode(state, Kind.OFF_ROUTE, Span(since, fix.at))
    for at in state.away:
        episode.see(at)
    width = state.hypotheses[0].width if state.hypotheses else ground.plan.legs[0].width_m
    episode.note(NoteCode.AWAY_FROM_CORRIDOR, metres=state.away_m, width_m=width)


def _back(state: State, fix: Fix) -> None:
    """Count fixes that are surely in the corridor again."""
    if not state.away:
        return
    if state.back == 0:
        state.back_at = fix.at
    state.back += 1
    if ongoing(state, Kind.OFF_ROUTE) is None or state.back >= _BACK_FIXES:
        end_episode(state, Kind.OFF_ROUTE, state.back_at)
        state.away, state.away_m, state.back = [], 0.0, 0


def _forget_turns(state: State) -> None:
    for each in state.hypotheses:
        each.peak, each.peak_at, each.low = each.s, each.at, each.s
        each.leap_m = 0.0
    end_episode(state, Kind.WRONG_WAY, state.hypotheses[0].at)


def _turn(ground: Ground, state: State, fix: Fix) -> None:
    best = state.hypotheses[0]
    back = best.peak - best.low
    if back >= ground.rules.wrong_way_m:
        going = ongoing(state, Kind.WRONG_WAY)
        episode = going or raise_episode(state, Kind.WRONG_WAY, Span(best.peak_at, fix.at))
        episode.see(fix.at)
        episode.note(NoteCode.MOVED_BACK, metres=back)
    elif back == 0:
        end_episode(state, Kind.WRONG_WAY, fix.at)


def _leap(state: State, fix: Fix) -> None:
    best = state.hypotheses[0]
    if not best.leap_m or best.leap_fixes < _LEAP_FIXES:
        return
    metres, start, end = best.leap_m, best.leap_from, best.leap_to
    best.leap_m = 0.0
    episode = raise_episode(state, Kind.OFF_ROUTE, Span(start, fix.at, end))
    episode.see(end)
    episode.note(NoteCode.SHORTCUT, route_m=metres, seconds=seconds(end - start))
