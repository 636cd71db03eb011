"""The chain of custody: a state machine over the events of each unit, replayed in the order in which they happened.

Devices upload late, so the order of arrival says nothing. Whatever it was, replaying the same set of events gives the
same packings, entitlements and refusals. An item inherits what holds for its case, a case what holds for its pallet.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

from trace_service.domain.events import Entitlement, Event, History, Packing, Refusal, Site, Step

# Stations stamp a packing or a shipment when they read the label, seconds to minutes after the goods have moved on:
# where nothing had begun at the time of a scan, what begins soon after counts.
CLOCK_TOLERANCE = timedelta(minutes=10)


_Span = TypeVar("_Span", Packing, Entitlement)


class _Replay:
    """The state of one unit while its events pass by."""

    def __init__(self, sites: Mapping[str, Site]) -> None:
        self.sites = sites
        self.packings: list[Packing] = []
        self.entitlements: list[Entitlement] = []
        self.received_at: str | None = None
        self.loose = True
        self.in_transit = False

    def apply(self, event: Event) -> Refusal | None:
        """Take one event; return the rule it breaks, in which case nothing changed."""
        match event.step:
            case Step.PACK:
                return self._pack(event)
            case Step.SHIP:
                return self._ship(event)
            case Step.RECEIVE:
                self._receive(event)
        return None

    def _pack(self, event: Event) -> Refusal | None:
        # 1. A unit lies in another one, never in itself.
        if event.parent is None or event.parent == event.unit:
            return Refusal.PARENT_INVALID
        # 2. What lies in a case stays there until it was received by itself.
        current = self.packings[-1] if self.packings else None
        if current and current.parent == event.parent:
            return None
        if not self.loose:
            return Refusal.ALREADY_PACKED
        self._end_packing(event.occurred_at)
        self.packings.append(Packing(event.parent, event.occurred_at))
        self.loose = False
        return None

    def _ship(self, event: Event) -> Refusal | None:
        # 1. Somebody we know must be entitled.
        if event.dealer is None or event.shipment is None:
            return Refusal.UNKNOWN_DEALER
        # 2. A child goes where its parent goes.
        if not self.loose:
            return Refusal.INSIDE_PARENT
        # 3. What is under way, or lies with somebody else, cannot leave again; the same label read twice is no news.
        current = self.entitlements[-1] if self.entitlements else None
        if self.in_transit and current:
            repeated = (current.dealer, current.shipment) == (event.dealer, event.shipment)
            return None if repeated else Refusal.ALREADY_SHIPPED
        if self.received_at is not None and not self._same_holder(self.received_at, event.site):
            return Refusal.ALREADY_SHIPPED
        self._end_packing(event.occurred_at)
        self._entitle(event, event.dealer, event.shipment)
        self.in_transit = True
        return None

    def _receive(self, event: Event) -> None:
        self.received_at = event.site
        self.loose = True
        self.in_transit = False
        # Back with the brand: nobody is entitled until it leaves again.
        if self.sites[event.site].home and self.packings + self.entitlements:
            self._entitle(event, None, "")

    def _same_holder(self, first: str, second: str) -> bool:
        return first == second or self.sites[first].dealer == self.sites[second].dealer

    def _entitle(self, event: Event, dealer: str | None, shipment: str) -> None:
        if self.entitlements:
            self.entitlements[-1] = replace(self.entitlements[-1], valid_to=event.occurred_at)
        self.entitlements.append(Entitlement(dealer, shipment, event.occurred_at, event.source))

    def _end_packing(self, moment: datetime) -> None:
        if self.packings and self.packings[-1].valid_to is None:
            self.packings[-1] = replace(self.packings[-1], valid_to=moment)


def replay(events: Iterable[Event], sites: Mapping[str, Site]) -> History:
    """Return what follows from the events of one unit, in whatever order they are given.

    `sites` holds every site that the events name.
    """
    state = _Replay(sites)
    refused = {}
    for event in sorted(events, key=lambda each: (each.occurred_at, each.source)):
        refusal = state.apply(event)
        if refusal:
            refused[event.source] = refusal
    return History(tuple(state.packings), tuple(state.entitlements), refused)


class Custody:
    """Histories of connected units, asked for any moment."""

    def __init__(self, histories: Mapping[str, History]) -> None:
        self._histories = histories
        self._filled = {packing.parent for history in histories.values() for packing in history.packings}

    def history(self, unit: str) -> History:
        """Return what is known of one unit; nothing happened to an unknown one."""
        return self._histories.get(unit, History())

    def has_contents(self, unit: str) -> bool:
        """Tell whether anything was ever packed into a unit."""
        return unit in self._filled

    def parent_at(self, unit: str, moment: datetime) -> str | None:
        """Return what a unit lay in, or came in: an opened case is still where its items came from."""
        current = _current(self.history(unit).packings, moment)
        return current.parent if current else None

    def entitled_at(self, unit: str, moment: datetime) -> Entitlement | None:
        """Return the newest statement about who holds a unit, its own or one that it inherits; None without any."""
        return _current(
            sorted(
                (each for holder in self._path(unit, moment) for each in self.history(holder).entitlements),
                key=lambda each: (each.valid_from, each.source),
            ),
            moment,
        )

    def _path(self, unit: str, moment: datetime) -> Iterator[str]:
        seen: set[str] = set()
        holder: str | None = unit
        while holder is not None and holder not in seen:
            seen.add(holder)
            yield holder
            holder = self.parent_at(holder, moment)


def _current(spans: Sequence[_Span], moment: datetime) -> _Span | None:
    """Return the newest of ordered spans that had begun, or else the first that began soon after."""
    begun = [each for each in spans if each.valid_from <= moment]
    if begun:
        return begun[-1]
    return spans[0] if spans and spans[0].valid_from <= moment + CLOCK_TOLERANCE else None
