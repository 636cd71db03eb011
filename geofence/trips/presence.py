"""Entering and leaving sites, with an inner and an outer border and several fixes to tell."""

from typing import NamedTuple

from geofence.trips.ground import Ground
from geofence.trips.plan import Role
from geofence.trips.reports import Fix
from geofence.trips.state import Presence, State


class Passage(NamedTuple):
    """A site was entered or left at a moment, which lies some fixes back."""

    site: str
    role: Role
    entered: bool
    at: int


def step(ground: Ground, state: State, fix: Fix) -> list[Passage]:
    """Follow one fix; return what is certain since."""
    names = ground.near(fix.lon, fix.lat)
    if not names and not state.sites:
        return []
    passages: list[Passage] = []
    for name in dict.fromkeys([*names, *state.sites]):
        place = ground.places[name]
        metres = place.distance_m(fix.lon, fix.lat)
        # A small site can never hold the whole disc of a coarse fix.
        surely_in = metres + min(fix.accuracy_m, place.depth_m / 2.0) <= 0
        surely_out = metres - fix.accuracy_m > ground.rules.exit_margin_m
        presence = state.sites.get(name)
        if presence is None:
            if not surely_in:
                continue
            presence = state.sites[name] = Presence()
        if _turned(ground, presence, fix.at, surely_in=surely_in, surely_out=surely_out):
            passages.append(Passage(name, place.site.role, presence.inside, presence.since))
        if not presence.inside and presence.count == 0:
            del state.sites[name]
    return passages


def _turned(ground: Ground, presence: Presence, at: int, *, surely_in: bool, surely_out: bool) -> bool:
    rules = ground.rules
    against, agreeing = (surely_out, surely_in) if presence.inside else (surely_in, surely_out)
    if agreeing:
        presence.count = 0
        return False
    if not against:
        return False
    if presence.count == 0:
        presence.since = at
    presence.count += 1
    needed = rules.exit_fixes if presence.inside else rules.enter_fixes
    patience = rules.exit_s if presence.inside else rules.presence_s
    lasted = presence.count > 1 and at - presence.since >= patience * 1000
    if presence.count < needed and not lasted:
        return False
    presence.inside = not presence.inside
    presence.entered = presence.since
    presence.count = 0
    return True


def at_site(state: State) -> bool:
    """Whether the truck is at any site, or was until its last fixes."""
    return any(presence.inside for presence in state.sites.values())
