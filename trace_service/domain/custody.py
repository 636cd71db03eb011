"""The chain of custody: a state machine over the events of units, replayed in the order in which they happened.

Devices upload late, so the order of arrival says nothing. Whatever it was, replaying the same set of events gives the
same states and refusals. A unit depends on its own events, on those of whatever it was ever packed into, and on holds
of its product and lot; never on what lies in it, except that a hold inside keeps a container from leaving.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from trace_service.domain import lives, moves
from trace_service.domain.events import (
    LOGISTIC_PREFIX,
    SIGHTINGS,
    Entitlement,
    Event,
    Packing,
    Refusal,
    Site,
    Source,
    Step,
)
from trace_service.domain.scene import CLOCK_TOLERANCE, Outcome, Scene
from trace_service.domain.states import Key, Life, Own, State, is_single, look, order, product_of

RULES: Final[Mapping[Step, Callable[[Scene], Outcome]]] = {
    Step.COMMISSION: lives.commission,
    Step.PACK: moves.pack,
    Step.UNPACK: moves.unpack,
    Step.SHIP: moves.ship,
    Step.VOID: moves.void,
    Step.RECEIVE: moves.receive,
    Step.TRANSFER_REQUEST: moves.transfer_request,
    Step.TRANSFER_APPROVE: moves.transfer_approve,
    Step.TRANSFER_REJECT: moves.transfer_reject,
    Step.REBIND: moves.rebind,
    Step.RETURN: moves.give_back,
    Step.SELL: lives.sell,
    Step.CONSUME: lives.sight,
    Step.INSPECT: lives.sight,
    Step.RECALL: lives.recall,
    Step.BLOCK: lives.block,
    Step.UNBLOCK: lives.unblock,
    Step.DECOMMISSION: lives.decommission,
    Step.DESTROY: lives.destroy,
}
HOLDS: Final = frozenset({Step.RECALL, Step.BLOCK, Step.UNBLOCK})
# What a hold inside a container forbids.
LEAVES: Final = frozenset({Step.SHIP, Step.SELL, Step.TRANSFER_REQUEST, Step.TRANSFER_APPROVE})
# Later than any source at the same moment.
_LAST: Final = Source("\U0010ffff", UUID(int=2**128 - 1), 2**63)
_ACTIVE: Final = Own(life=Life.ACTIVE)
_NOTHING: Final = Own()


class Change(NamedTuple):
    """What one accepted event made of a unit."""

    key: Key
    own: Own


class Custody:
    """What follows from a set of events, asked for any unit and moment.

    Built by `replay`; `standing` is what stood against each event that was `refused`, and `retracted` are those
    that corrections took back. Every question about a moment notes in `relied` the (container, moment, unit) behind it.
    """

    def __init__(
        self,
        sites: Mapping[str, Site],
        contents: Mapping[str, Collection[str]] | None = None,
        filled: Collection[str] = (),
    ) -> None:
        self._sites = sites
        self._contents = contents or {}
        self._filled = filled
        self._changes: dict[str, list[Change]] = defaultdict(list)
        self._classes: dict[str, set[str]] = {}
        self._verified: set[str] = set()
        self._held: set[str] = set()
        self.refused: dict[Source, Refusal] = {}
        self.standing: dict[Source, State] = {}
        self.retracted: set[Source] = set()
        self.relied: set[tuple[str, datetime, str]] = set()

    def state_at(self, unit: str, moment: datetime) -> State:
        """Return a unit's state once everything up to and including `moment` has happened."""
        until = Key(moment, True, _LAST)  # noqa: FBT003  a field of the order of events
        return self._look(unit, lambda each: self._own_at(each, until))

    def entitled_at(self, unit: str, moment: datetime) -> Entitlement | None:
        """Return the newest statement about who may hold a unit, its own or inherited, or else the one soon after."""
        state = self.state_at(unit, moment)
        if state.entitlement is None:
            state = self.state_at(unit, moment + CLOCK_TOLERANCE)
        self.relied.update((each, moment, unit) for each in state.path)
        return state.entitlement

    def has_contents(self, unit: str) -> bool:
        """Tell whether anything was ever packed into a unit."""
        return unit in self._filled

    def parent_at(self, unit: str, moment: datetime) -> str | None:
        """Return what a unit lay in, or came in: an opened case is still where its items came from."""
        packings = self.packings(unit)
        begun = [each for each in packings if each.valid_from <= moment] or [
            each for each in packings[:1] if each.valid_from <= moment + CLOCK_TOLERANCE
        ]
        return begun[-1].parent if begun else None

    def packings(self, unit: str) -> list[Packing]:
        """Return what a unit lay in, in order."""
        found: list[Packing] = []
        for key, own in self._changes.get(unit, ()):
            current = found[-1] if found and found[-1].valid_to is None else None
            if current and (own.parent != current.parent):
                found[-1] = Packing(current.parent, current.valid_from, key.moment)
            if own.parent and (current is None or current.parent != own.parent):
                found.append(Packing(own.parent, key.moment))
        return found

    def entitlements(self, unit: str) -> list[Entitlement]:
        """Return the statements that a unit's own events made about who may hold it, in order."""
        found: list[Entitlement] = []
        latest: Source | None = None
        for key, own in self._changes.get(unit, ()):
            said = own.said.entitlement if own.said else None
            if said is None or said.source == latest:
                continue
            latest = said.source
            if found and found[-1].valid_to is None:
                last = found[-1]
                found[-1] = Entitlement(last.dealer, last.shipment, last.valid_from, last.source, key.moment)
            if said.source == key.source:
                found.append(said)
        return found

    def held_since(self, unit: str) -> datetime | None:
        """Return when a unit was first held by itself, also by what it took along out of its container."""
        changes = self._changes.get(unit, ())
        return next((key.moment for key, own in changes if own.blocked or own.recalled), None)

    def take(self, events: Iterable[Event]) -> None:
        """Replay events in the order in which they happened; the set must hold all that these units depend on."""
        given = list(events)
        targets = {event.source: event for event in given if event.step is not Step.CORRECT}
        for event in given:
            if event.step is Step.CORRECT and event.corrects is not None:
                target = targets.get(event.corrects)
                if target is not None and target.unit == event.unit:
                    self.retracted.add(target.source)
                    continue
            if event.step is Step.CORRECT:
                self.refused[event.source] = Refusal.CORRECTS_NOTHING
                self.standing[event.source] = self._current(event.unit)
            elif event.verified and event.step not in SIGHTINGS:
                self._verified.add(event.unit)
        for event in targets.values():
            if event.lot:
                self._classes.setdefault(event.unit, set()).add(event.lot)
        for event in sorted(targets.values(), key=order):
            if event.source not in self.retracted:
                self._apply(event)

    def _apply(self, event: Event) -> None:
        key, own, state = order(event), self._now(event.unit), self._look(event.unit, self._now)
        self.relied.update((each, event.occurred_at, event.unit) for each in state.path)
        if event.parent and event.step is Step.PACK:
            self.relied.update((each, event.occurred_at, event.unit) for each in self._current(event.parent).path)
        outcome = self._judge(event, Scene(event, key, own, state, self._sites, self._current, lambda: self._in(event)))
        if isinstance(outcome, Refusal):
            self.refused[event.source] = outcome
            self.standing[event.source] = state
        elif outcome is not None:
            self._changes[event.unit].append(Change(key, outcome))
            if event.step in HOLDS or outcome.blocked or outcome.recalled:
                held = outcome.blocked or outcome.recalled
                (self._held.add if held else self._held.discard)(event.unit)

    def _judge(self, event: Event, scene: Scene) -> Outcome:
        if event.site not in self._sites:
            return Refusal.UNKNOWN_SITE
        if event.step not in HOLDS and not is_single(event.unit):
            return Refusal.CODE_NOT_ACCEPTED
        return RULES[event.step](scene)

    def _in(self, event: Event) -> set[Refusal]:
        """Return the holds of what lies in a container, and of every product and lot that was ever packed into it."""
        owns = [self._now(each) for each in self._contents.get(event.unit, ())]
        owns += [self._now(each) for each in self._held if event.unit in self._current(each).path]
        found = {Refusal.RECALLED for own in owns if own.recalled}
        return found | {Refusal.BLOCKED for own in owns if own.blocked}

    def _look(self, unit: str, own_of: Callable[[str], Own]) -> State:
        product = product_of(unit)
        classes = [product, *sorted(self._classes.get(unit, ()))] if product else ()
        return look(unit, own_of, classes)

    def _current(self, unit: str) -> State:
        return self._look(unit, self._now)

    def _now(self, unit: str) -> Own:
        changes = self._changes.get(unit)
        return changes[-1].own if changes else self._first(unit)

    def _own_at(self, unit: str, until: Key) -> Own:
        changes = self._changes.get(unit)
        index = bisect_right(changes, until, key=lambda each: each.key) if changes else 0
        return changes[index - 1].own if changes and index else self._first(unit)

    def _first(self, unit: str) -> Own:
        """Return the state before any event: logistic units need no commissioning, verified codes had theirs."""
        known = unit.startswith(LOGISTIC_PREFIX) or unit in self._verified or not is_single(unit)
        return _ACTIVE if known else _NOTHING


def replay(
    events: Iterable[Event], sites: Mapping[str, Site], contents: Mapping[str, Collection[str]] | None = None
) -> Custody:
    """Return what follows from events, in whatever order they are given.

    `sites` holds every registered site that the events name, `contents` the products and lots that were ever packed
    into each container, at any depth.
    """
    custody = Custody(sites, contents)
    custody.take(events)
    return custody
