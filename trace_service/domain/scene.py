"""What a rule sees: one event, the unit's state just before it, and what the rules have in common."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from trace_service.domain.events import Entitlement, Event, Refusal, Site
from trace_service.domain.states import Hold, Key, Life, Own, State, Statement

# Stations stamp a packing or a shipment when they read the label, seconds to minutes after the goods have moved on.
CLOCK_TOLERANCE: Final = timedelta(minutes=10)

# What an event does: a new own state, None where it is no news, or the rule that it breaks.
Outcome = Own | Refusal | None


def first(*rules: tuple[object, Refusal]) -> Refusal | None:
    """Return the first refusal whose condition holds."""
    return next((refusal for broken, refusal in rules if broken), None)


@dataclass(frozen=True, slots=True)
class Scene:
    """One event and what it meets; `look` returns the state of another unit, `contents` what is held inside this."""

    event: Event
    key: Key
    own: Own
    state: State
    sites: Mapping[str, Site]
    look: Callable[[str], State]
    contents: Callable[[], Collection[Refusal]]

    @property
    def home(self) -> bool:
        """Whether this happens at a site of the brand itself."""
        return self.sites[self.event.site].home

    def with_holder(self, state: State | None = None) -> bool:
        """Tell whether this happens where the unit (or another, by its state) was last known to be, or nearby.

        All sites of one dealer are one holder; a unit without any statement is nowhere in particular.
        """
        said = (state or self.state).said
        return said is None or self.same_holder(said.site)

    def same_holder(self, site: str) -> bool:
        """Tell whether a site and that of the event belong to one holder."""
        return site == self.event.site or self.sites[site].dealer == self.sites[self.event.site].dealer

    def lifeless(self, *, sold: bool = False) -> Refusal | None:
        """Return why a unit that is not alive may not move; `sold` where a sold one may."""
        if self.state.life is Life.UNKNOWN:
            return Refusal.NOT_COMMISSIONED
        if self.state.life is Life.SOLD and not sold:
            return Refusal.ALREADY_SOLD
        return Refusal.ENDED if self.state.life.ended else None

    def held(self) -> Refusal | None:
        """Return whether a recall or a block keeps the unit, or something inside it, from leaving."""
        if self.state.recalled:
            return Refusal.RECALLED
        if self.state.blocked:
            return Refusal.BLOCKED
        inside = self.contents()
        if Refusal.RECALLED in inside:
            return Refusal.RECALLED
        return Refusal.BLOCKED if inside else None

    def loosened(self) -> Own:
        """Return the own state of the unit once it no longer lies in its parent: it takes along what it inherited."""
        return replace(
            self.own,
            parent=None,
            packed=None,
            said=self.state.said,
            blocked=self.state.carried_block,
            recalled=self.state.carried_recall,
        )

    def entitle(self, dealer: str | None, number: str) -> Entitlement:
        """Return an entitlement that begins with this event."""
        return Entitlement(dealer, number, self.event.occurred_at, self.event.source)

    def sent(self, entitlement: Entitlement) -> Statement:
        """Return the statement that the unit left from where it was, or from here."""
        said = self.state.said
        before = replace(said, before=None) if said else None
        return Statement(self.key, self.event.site, moving=True, entitlement=entitlement, before=before)

    def arrived(self, entitlement: Entitlement | None) -> Statement:
        """Return the statement that the unit is here."""
        return Statement(self.key, self.event.site, moving=False, entitlement=entitlement)

    def came(self) -> "Scene | None":
        """Return the scene with goods arrived that are under way to the very dealer at whose site this happens."""
        dealer, held = self.sites[self.event.site].dealer, self.state.entitlement
        if dealer is None or held is None or held.dealer != dealer:
            return None
        return replace(self, state=replace(self.state, said=self.arrived(held)))

    def hold(self) -> Hold:
        """Return the hold that this event puts on a unit."""
        return Hold(self.event.reason or "", self.event.site, self.event.source)
