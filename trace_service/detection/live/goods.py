"""Goods as papers and registries know them at a moment, from a replay of custody."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Final

from contracts.errors import CodeError
from contracts.tc20 import split
from trace_service.detection.live.feed import milliseconds
from trace_service.detection.observations import CodeState, Goods
from trace_service.domain.custody import Custody
from trace_service.domain.events import LOGISTIC_PREFIX, Event, Site, Source, Step
from trace_service.domain.papers import Papers
from trace_service.domain.states import State, product_of
from trace_service.domain.verification import Code
from trace_service.domain.verification import CodeState as Registered

_GTIN: Final = slice(4, 18)
_ENDS: Final = frozenset({Step.DECOMMISSION, Step.DESTROY})
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Contents:
    """What a logistic unit was packed with: one of its products and lots, and the cases inside a pallet."""

    product: str | None = None
    lot: str | None = None
    cases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Situation:
    """What is known when observations are made: a replay, the events behind it, sites, codes and contents."""

    custody: Custody
    events: Mapping[Source, Event]
    sites: Mapping[str, Site]
    contents: Mapping[str, Contents] = field(default_factory=dict)


class Keeper:
    """Answers what goods were at a moment, for the units of one situation."""

    def __init__(self, situation: Situation) -> None:
        self.situation = situation
        self.papers = Papers(situation.custody, situation.events, situation.sites)

    def goods(self, unit: str, moment: datetime, code: Code | None = None, without: Event | None = None) -> Goods:
        """Return a unit as papers stood; `without` one event, where it is asked what was so before it."""
        if code is not None and not code.state.accepted:
            return _strange(unit, code)
        custody = self.situation.custody
        logistic = unit.startswith(LOGISTIC_PREFIX)
        held = self.papers.entitled(unit, moment, without)
        state = custody.state_at(unit, moment)
        inside = self.situation.contents.get(unit) if logistic else None
        product = product_of(unit)
        registered, since = self._state(state, moment, code)
        return Goods(
            unit=unit,
            case=unit if logistic else custody.parent_at(unit, moment) or unit,
            product=inside.product if inside else product[_GTIN] if product else None,
            batch=inside.lot if inside else code.lot if code else None,
            dealer=held.dealer,
            shipment=held.shipment,
            shipped_at=None if held.shipped_at is None else milliseconds(held.shipped_at),
            chain=held.chain,
            state=registered,
            state_since=None if since is None else milliseconds(since),
        )

    def _state(self, state: State, moment: datetime, code: Code | None) -> tuple[CodeState, datetime | None]:
        events = self.situation.events
        if state.life.ended:
            ends = [events[each] for each in state.sources if each in events and events[each].step in _ENDS]
            return CodeState.VOID, min((each.occurred_at for each in ends), default=None)
        if state.recalled:
            said = events.get(state.recalled.source)
            return CodeState.RECALLED, said.occurred_at if said else None
        if code is not None and code.expires is not None:
            ended = datetime.combine(code.expires, time(), UTC) + _DAY
            if moment >= ended:
                return CodeState.EXPIRED, ended
        return CodeState.ACTIVE, None


def _strange(unit: str, code: Code) -> Goods:
    """Return goods whose code is none, or not active yet; a product only where its form is that of issued codes."""
    if code.state is Registered.NOT_COMMISSIONED:
        return Goods(unit=unit, case=unit, product=code.gtin, batch=code.lot, state=CodeState.INACTIVE)
    try:
        split(unit.partition("/21/")[2])
    except CodeError:
        return Goods(unit=unit, state=CodeState.UNKNOWN)
    return Goods(unit=unit, product=code.gtin or None, state=CodeState.UNKNOWN)
