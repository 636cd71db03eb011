"""What papers say of a unit at a moment: who may hold it, by which shipment, and through whose hands it came.

A paper is an accepted event of custody that names a dealer, or gives goods back: shipments, approved transfers,
re-bindings, returns. They are read from a replay, so that a paper that came late counts where it belongs.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, NamedTuple

from trace_service.domain.custody import Custody
from trace_service.domain.events import Entitlement, Event, Site, Source, Step
from trace_service.domain.scene import CLOCK_TOLERANCE

PAPERS: Final = frozenset({Step.SHIP, Step.TRANSFER_APPROVE, Step.REBIND, Step.RETURN})


class Entitled(NamedTuple):
    """Who may hold a unit (None: the brand still, or again), by which shipment, and every dealer that papers name."""

    dealer: str | None
    shipment: str | None
    shipped_at: datetime | None
    chain: tuple[str, ...]


NOBODY: Final = Entitled(None, None, None, ())


class Papers:
    """The papers of the units of one replay; `events` are those that it was made from, by their source."""

    def __init__(self, custody: Custody, events: Mapping[Source, Event], sites: Mapping[str, Site]) -> None:
        self._custody, self._events, self._sites = custody, events, sites
        self._known: dict[str, list[Entitlement]] = {}

    def entitled(self, unit: str, moment: datetime, without: Event | None = None) -> Entitled:
        """Return what papers say at a moment; `without` an event and its shipment: what was so before it."""
        own = without.shipment if without is not None and without.step is not Step.RECEIVE else None
        statements = self._statements(unit)
        if not statements:
            return NOBODY
        # Stations stamp what they read when they read it, minutes after the goods have moved on.
        until = max(moment, min(moment + CLOCK_TOLERANCE, statements[0].valid_from))
        found, earlier = NOBODY, [NOBODY]
        for each in statements:
            mine = without is not None and each.source == without.source
            if each.valid_from > until or mine or (own is not None and each.shipment == own):
                continue
            event = self._events.get(each.source)
            if event is not None and event.step is Step.VOID:
                earlier = earlier[:-1] or [NOBODY]
                found = earlier[-1]
                continue
            found = self._next(found, each, event)
            earlier.append(found)
        return found

    def documents(self, receipt: Event, dealer: str | None, sent_on: datetime) -> bool:
        """Whether papers other than a receipt itself explain that a dealer (None: the brand) reads a unit.

        One that brings it there does, unless another took it on before `sent_on`: what comes again needs a paper of its
        own, or names the first one.
        """
        here = False
        for each in self._statements(receipt.unit):
            event = self._events.get(each.source)
            if each.source == receipt.source or event is None or event.step not in PAPERS:
                continue
            if each.dealer == dealer:
                if each.shipment and each.shipment == receipt.shipment:
                    return True
                here = True
            elif each.valid_from < sent_on:
                here = False
        return here

    def _next(self, found: Entitled, each: Entitlement, event: Event | None) -> Entitled:
        if each.dealer is None:
            return Entitled(None, each.shipment or None, each.valid_from, ())
        if found.dealer == each.dealer:
            site = self._sites.get(event.site) if event else None
            # A dealer's delivery to a shop of its own is no news of whose the goods are.
            if site is not None and site.dealer == each.dealer:
                return found
            return Entitled(each.dealer, each.shipment, each.valid_from, found.chain)
        return Entitled(each.dealer, each.shipment, each.valid_from, (*found.chain, each.dealer))

    def _statements(self, unit: str) -> list[Entitlement]:
        """Return all that was said of a unit or of what it lay in, oldest first."""
        known = self._known.get(unit)
        if known is None:
            found = {each.source: each for each in self._custody.entitlements(unit)}
            for stay in self._custody.packings(unit):
                for each in self._statements(stay.parent):
                    if stay.valid_to is None or each.valid_from < stay.valid_to:
                        found.setdefault(each.source, each)
            known = self._known[unit] = sorted(found.values(), key=lambda each: (each.valid_from, each.source))
        return known
