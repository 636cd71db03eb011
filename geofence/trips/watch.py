"""Standing, silence, forbidden ground, and goods that are handled away from every site."""

from typing import Final

from geofence.trips.book import Span, end_episode, ongoing, raise_episode, seconds, withdraw
from geofence.trips.episodes import Kind, NoteCode
from geofence.trips.ground import Ground
from geofence.trips.plan import Role
from geofence.trips.plane import distance_m
from geofence.trips.presence import Passage, at_site
from geofence.trips.reports import Fix, HandlingKind
from geofence.trips.state import State

_MOVED_FIXES: Final = 2
_UNHEARD_S: Final = 120.0
_LONGEST_STRIDE_MS: Final = 15 * 60 * 1000
_NOTES: Final = {
    HandlingKind.DOOR_OPENED: NoteCode.DOOR_OPENED,
    HandlingKind.WEIGHT_DROPPED: NoteCode.WEIGHT_DROPPED,
    HandlingKind.ITEMS_RECEIVED: NoteCode.ITEMS_RECEIVED,
}


def silence(ground: Ground, state: State, at: int) -> bool:
    """Raise an episode where nothing was heard for too long; return whether it is silent now."""
    limit = ground.rules.missing_signal_s * 1000
    if not state.heard or state.finished is not None or at - state.heard <= limit:
        return False
    if at_site(state):
        return False  # a parked truck's tracker sleeps
    if ongoing(state, Kind.MISSING_SIGNAL) is None:
        raise_episode(state, Kind.MISSING_SIGNAL, Span(state.heard, at))
    return True


def heard(state: State, fix: Fix) -> None:
    """End a silence; one that was spent standing still was a tracker asleep."""
    episode = ongoing(state, Kind.MISSING_SIGNAL)
    if episode is not None:
        last = state.last
        if last is not None and distance_m((last.lon, last.lat), (fix.lon, fix.lat)) <= _still_m(last, fix):
            withdraw(state, episode)
        else:
            episode.note(NoteCode.SILENT, seconds=seconds(fix.at - state.heard))
            episode.see(state.heard)
            end_episode(state, Kind.MISSING_SIGNAL, fix.at)
    state.heard = fix.at


def _still_m(one: Fix, other: Fix) -> float:
    return 100.0 + one.accuracy_m + other.accuracy_m


def standing(ground: Ground, state: State, fix: Fix) -> None:
    """Follow whether the truck stands, and for how long away from every site."""
    rules, anchor = ground.rules, state.anchor
    radius = rules.stopped_radius_m + fix.accuracy_m
    if anchor is None or distance_m((anchor.lon, anchor.lat), (fix.lon, fix.lat)) > radius:
        state.moved += 1
        if anchor is None or state.moved >= _MOVED_FIXES:
            state.anchor, state.moved = fix, 0
            for kind in (Kind.LONG_STOP, Kind.UNLOAD_OUTSIDE):
                episode = end_episode(state, kind, state.anchor_seen)
                if episode is not None and kind is Kind.LONG_STOP and anchor is not None:
                    episode.note(NoteCode.STOOD, seconds=seconds(state.anchor_seen - anchor.at))
            state.anchor_seen = fix.at
        return
    state.moved, state.anchor_seen = 0, fix.at
    if fix.at - anchor.at < rules.long_stop_s * 1000 or at_site(state):
        return
    if ongoing(state, Kind.LONG_STOP) is None:
        if ground.nearest_m(anchor.lon, anchor.lat) - anchor.accuracy_m <= rules.exit_margin_m:
            return
        episode = raise_episode(state, Kind.LONG_STOP, Span(anchor.at, fix.at))
        episode.note(NoteCode.STOOD, seconds=seconds(fix.at - anchor.at))
        episode.see(anchor.at)
        episode.see(fix.at)


def handling(ground: Ground, state: State, fix: Fix) -> None:
    """Judge what was handled since the fix before, if the truck stood meanwhile away from every site."""
    pending, state.pending = state.pending, []
    last = state.last
    if not pending or last is None or at_site(state):
        return
    metres = min(ground.nearest_m(each.lon, each.lat) - each.accuracy_m for each in (last, fix))
    if metres <= ground.rules.handling_margin_m:
        return
    lasted = seconds(fix.at - last.at)
    stood = distance_m((last.lon, last.lat), (fix.lon, fix.lat)) <= _still_m(last, fix)
    # It may have stood unheard: then it must not have had the time to reach a site and come back.
    if not stood and (lasted < _UNHEARD_S or 2 * metres <= ground.rules.top_speed_mps * lasted):
        return
    for each in pending:
        episode = ongoing(state, Kind.UNLOAD_OUTSIDE)
        if episode is None:
            episode = raise_episode(state, Kind.UNLOAD_OUTSIDE, Span(each.at, fix.at))
        code = _NOTES[each.kind]
        amount = sum(note.numbers.get("amount", 0.0) for note in episode.notes if note.code is code) + each.amount
        episode.note(code, metres=metres, amount=amount)
        episode.see(last.at)


def forbidden(state: State, passage: Passage) -> None:
    """Take note of forbidden ground that was entered or left."""
    if passage.role is not Role.FORBIDDEN:
        return
    if passage.entered:
        raise_episode(state, Kind.FORBIDDEN_SITE, Span(passage.at, passage.at), passage.site).see(passage.at)
    else:
        episode = end_episode(state, Kind.FORBIDDEN_SITE, passage.at, passage.site)
        if episode is not None:
            episode.note(NoteCode.INSIDE, seconds=seconds(passage.at - episode.start))


def crossing(ground: Ground, state: State, fix: Fix) -> None:
    """See whether the straight line since the fix before runs through forbidden ground.

    It is asked only where the truck cannot have followed the route: along that, the road is believed.
    """
    last = state.last
    if last is None or not ground.forbidden or fix.at - last.at > _LONGEST_STRIDE_MS:
        return
    start, end = (last.lon, last.lat), (fix.lon, fix.lat)
    stride = distance_m(start, end)
    for place in ground.forbidden:
        name = place.site.id
        inside = name in state.sites and state.sites[name].inside
        if inside or place.distance_m(*end) > stride:
            continue
        metres = place.crossed_m(start, end) - last.accuracy_m - fix.accuracy_m
        if metres >= ground.rules.crossing_m and min(place.distance_m(*start), place.distance_m(*end)) > 0:
            episode = raise_episode(state, Kind.FORBIDDEN_SITE, Span(last.at, fix.at, fix.at), name)
            episode.note(NoteCode.CROSSED_BETWEEN_FIXES, metres=metres)
            episode.see(last.at)
            episode.see(fix.at)
