"""Custody kept up to date event by event, in memory, as the service does it in the database.

Like the service it replays only whom new events concern, with nothing loaded but what these depend on; all other units
keep what was found before. If either set were too small, the end would differ from the reference.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from trace_service.domain.custody import HOLDS, LEAVES, Custody
from trace_service.domain.events import SIGHTINGS, Event, Refusal, Site, Source, Step
from trace_service.domain.scene import CLOCK_TOLERANCE
from trace_service.domain.states import is_single, product_of

Since = Mapping[str, datetime]


class MemoryCustody:
    """A store of events with what follows from them."""

    def __init__(self, sites: Mapping[str, Site]) -> None:
        self._sites = sites
        self._known: dict[Source, Event] = {}
        self._events: dict[str, list[Event]] = defaultdict(list)
        self._reliance: dict[str, set[tuple[datetime, str]]] = defaultdict(set)
        self._contents: dict[str, set[str]] = defaultdict(set)
        self.refused: dict[str, dict[Source, Refusal]] = {}
        self.replayed = 0

    def state_at(self, unit: str, moment: datetime) -> tuple[object, ...]:
        """Return what is known of a unit, in the words of the reference."""
        state = self._load([unit]).state_at(unit, moment)
        said, held = state.said, state.entitlement
        place = (state.moving, said.site if said else None)
        entitled = (held.dealer, held.shipment) if held else (None, None)
        waiting = state.transfer[:2] if state.transfer else None
        holds = (state.recalled is not None, state.blocked is not None)
        return (state.life.value, state.path, *place, *entitled, waiting, *holds)

    def take(self, batch: Sequence[Event]) -> None:
        """Append a batch, and replay whom it concerns."""
        fresh = list({event.source: event for event in batch if event.source not in self._known}.values())
        for event in fresh:
            self._known[event.source] = event
            self._events[event.unit].append(event)
        changed = self._changed(fresh)
        for container, since in self._remember(fresh, changed):
            changed[container] = min(since, changed.get(container, since))
        found = self._spread(changed)
        while news := self._replay(found.keys() | {event.unit for event in fresh}):
            found |= self._spread(news)

    def _load(self, units: Collection[str]) -> Custody:
        """Replay what the given units depend on."""
        loaded: set[str] = set()
        wanted = set(units)
        while wanted - loaded:
            loaded |= self._above(wanted)
            wanted = {product for unit in loaded if (product := product_of(unit))}
            wanted |= {event.lot for unit in loaded for event in self._events[unit] if event.lot}
            wanted |= {member for unit in loaded for member in self._contents.get(unit, ())}
        inside = {unit: self._contents[unit] for unit in loaded if unit in self._contents}
        contents = {unit: {each for each in members if not is_single(each)} for unit, members in inside.items()}
        custody = Custody(self._sites, contents)
        events = [event for unit in loaded for event in self._events[unit]]
        custody.take(events)
        self.replayed += len(events)
        return custody

    def _spread(self, changed: Since) -> dict[str, datetime]:
        found, news = dict(changed), dict(changed)
        while news:
            news = {unit: since for unit, since in self._dependents(news).items() if since < found.get(unit, _NEVER)}
            found |= news
        return found

    def _replay(self, units: Collection[str]) -> dict[str, datetime]:
        """Replay units; return the containers that must be asked again, since something in them is held."""
        custody = self._load(units)
        for unit in units:
            sources = {event.source for event in self._events[unit]}
            self.refused[unit] = {each: why for each, why in custody.refused.items() if each in sources}
        for container, moment, unit in custody.relied:
            if unit in units:
                self._reliance[container].add((moment, unit))
        held = {unit: since for unit in units if is_single(unit) and (since := custody.held_since(unit))}
        return {container: held[unit] for container, unit in self._pass_on({(unit, unit) for unit in held})}

    def _changed(self, fresh: Iterable[Event]) -> dict[str, datetime]:
        changed: dict[str, datetime] = {}

        def note(unit: str, since: datetime) -> None:
            changed[unit] = min(since, changed.get(unit, since))

        for event in fresh:
            if event.step not in SIGHTINGS:
                note(event.unit, _EVER if event.verified else event.occurred_at)
            target = self._known.get(event.corrects) if event.corrects else None
            if target:
                note(target.unit, target.occurred_at)
        for unit, since in list(changed.items()):
            held = {member for member in self._contents.get(unit, ()) if is_single(member)}
            for container in [each for each, members in self._contents.items() if held & members]:
                note(container, since)
        for unit, since in self._around_holds(fresh, dict(changed)):
            note(unit, since)
        return changed

    def _around_holds(self, fresh: Iterable[Event], changed: Since) -> Iterator[tuple[str, datetime]]:
        """Yield the containers around held units, and whatever left since a product or lot was held or released."""
        for event in fresh:
            if event.step in HOLDS and is_single(event.unit):
                yield from ((unit, event.occurred_at) for unit in self._above([event.unit]))
        for since in [since for unit, since in changed.items() if not is_single(unit)]:
            for other in self._known.values():
                if other.step in LEAVES and other.occurred_at >= since:
                    yield other.unit, other.occurred_at

    def _dependents(self, changed: Since) -> dict[str, datetime]:
        found: dict[str, datetime] = {}
        for container, since in changed.items():
            packed = [(e.occurred_at, e.unit) for e in self._known.values() if e.parent == container]
            packed = [each for each in packed if each[0] >= since]
            for moment, unit in packed + list(self._reliance[container]):
                if moment >= since - CLOCK_TOLERANCE:
                    found[unit] = min(max(moment, since), found.get(unit, _NEVER))
        return found

    def _remember(self, fresh: Iterable[Event], changed: Since) -> list[tuple[str, datetime]]:
        members: set[tuple[str, str]] = set()
        for event in fresh:
            product = product_of(event.unit)
            if event.lot:
                members.add((event.unit, event.lot))
            if event.step in HOLDS and is_single(event.unit):
                members.add((event.unit, event.unit))
            if event.step is Step.PACK:
                members |= {(event.unit, each) for each in self._contents.get(event.unit, ())}
                members |= {(event.unit, other.lot) for other in self._events[event.unit] if other.lot}
                members |= {(event.unit, product)} if product else set()
        held = {event.unit for event in self._known.values() if event.step in HOLDS}
        return [
            (container, changed.get(member, _EVER) if is_single(member) else _EVER)
            for container, member in self._pass_on(members)
            if member in held or is_single(member)
        ]

    def _pass_on(self, members: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """Note members for their units and all above; return what is new to a container."""
        new = []
        for unit, member in members:
            for container in self._above([unit]):
                known = self._contents[container]
                if member not in known and (container != unit or container == member):
                    known.add(member)
                    new += [(container, member)] if container != member else []
        return new

    def _above(self, units: Iterable[str]) -> set[str]:
        found: set[str] = set()
        rest = set(units)
        while rest:
            found |= rest
            packings = [event for unit in rest for event in self._events[unit] if event.step is Step.PACK]
            rest = {event.parent for event in packings if event.parent} - found
        return found


_NEVER: Final = datetime.max.replace(tzinfo=UTC)
_EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
