"""Random histories of a few units: plausible more often than not, a fifth of the events late or doubled, some wrong."""

import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from trace_service.domain.events import Event, Site, Source, Step

START: Final = datetime(2026, 3, 2, 8, tzinfo=UTC)
PRODUCT: Final = "/01/09506000134352"
LOT: Final = f"{PRODUCT}/10/L1"
ITEMS: Final = tuple(f"{PRODUCT}/21/I{number}" for number in range(4))
CASES: Final = ("/00/395060001000000022", "/00/395060001000000039")
PALLET: Final = "/00/395060001000000015"
UNITS: Final = (*ITEMS, *CASES, PALLET)
DEALERS: Final = ("A", "B")
SITES: Final = {
    name: Site(name, dealer, home=dealer is None, position=None)
    for name, dealer in (("factory", None), ("dc", None), ("S-A", "A"), ("S-A2", "A"), ("S-B", "B"))
}
_BOOT: Final = UUID(int=9)
_NUMBERS: Final = ("N1", "N2")
# How goods usually go, so that deep states are reached; every other event is drawn at random.
_WALK: Final = (
    (Step.COMMISSION, "factory"), (Step.PACK, "factory"), (Step.SHIP, "dc"), (Step.RECEIVE, "S-A"), (Step.SELL, "S-A"),
    (Step.RETURN, "S-A"), (Step.RECEIVE, "dc"), (Step.SHIP, "dc"), (Step.TRANSFER_REQUEST, "S-A"),
    (Step.TRANSFER_APPROVE, "dc"), (Step.RECEIVE, "S-B"), (Step.UNPACK, "S-B"), (Step.SHIP, "S-B"),
)  # fmt: skip

# What may follow upon the unit's last event, at a site or (empty) where that one was: the second chances and conflicts
# that a walk alone would seldom meet.
_FOLLOW: Final[Mapping[Step, Sequence[tuple[Step, str]]]] = {
    Step.RECEIVE: ((Step.TRANSFER_REQUEST, ""), (Step.TRANSFER_REQUEST, ""), (Step.RETURN, ""), (Step.PACK, "")),
    Step.TRANSFER_REQUEST: (
        (Step.TRANSFER_APPROVE, "dc"), (Step.TRANSFER_APPROVE, "dc"), (Step.TRANSFER_APPROVE, "S-B"),
        (Step.TRANSFER_REJECT, ""), (Step.TRANSFER_REJECT, "S-B"), (Step.TRANSFER_REQUEST, ""), (Step.SHIP, ""),
        (Step.SELL, ""), (Step.PACK, ""), (Step.RETURN, ""), (Step.UNPACK, ""), (Step.BLOCK, ""), (Step.BLOCK, "dc"),
        (Step.RECALL, "dc"), (Step.RECALL, "dc"),
    ),
    Step.SHIP: ((Step.VOID, ""), (Step.VOID, "S-A"), (Step.SHIP, ""), (Step.RECEIVE, "S-A")),
    Step.BLOCK: (
        (Step.UNBLOCK, ""), (Step.UNBLOCK, "S-B"), (Step.BLOCK, ""), (Step.SHIP, ""), (Step.TRANSFER_REQUEST, ""),
        (Step.TRANSFER_APPROVE, "dc"), (Step.UNPACK, ""), (Step.PACK, ""),
    ),
    Step.RECALL: (
        (Step.RECALL, ""), (Step.SHIP, ""), (Step.SELL, ""), (Step.TRANSFER_REQUEST, "S-A"),
        (Step.TRANSFER_APPROVE, "dc"), (Step.TRANSFER_APPROVE, "dc"), (Step.UNPACK, ""),
    ),
    Step.SELL: ((Step.SELL, ""), (Step.RETURN, ""), (Step.RETURN, "S-B"), (Step.COMMISSION, "")),
    Step.RETURN: ((Step.RETURN, ""), (Step.RECEIVE, "dc"), (Step.VOID, "")),
    Step.PACK: ((Step.UNPACK, ""), (Step.PACK, ""), (Step.DESTROY, "")),
    Step.DESTROY: ((Step.DESTROY, ""), (Step.DECOMMISSION, ""), (Step.BLOCK, "dc"), (Step.RECALL, "dc")),
    Step.DECOMMISSION: ((Step.DECOMMISSION, ""), (Step.DESTROY, ""), (Step.COMMISSION, "")),
}  # fmt: skip
# Whole stories of one unit, for what takes several steps in a row.
_STORIES: Final = tuple(
    ((Step.COMMISSION, "factory"), (Step.SHIP, "dc"), (Step.RECEIVE, "S-A"), (Step.TRANSFER_REQUEST, "S-A"), *rest)
    for rest in (
        ((Step.TRANSFER_APPROVE, "dc"), (Step.RECEIVE, "S-B")),
        ((Step.RECALL, "dc"), (Step.TRANSFER_APPROVE, "dc")),
        ((Step.BLOCK, "S-A"), (Step.TRANSFER_APPROVE, "dc"), (Step.UNBLOCK, "S-A"), (Step.TRANSFER_APPROVE, "dc")),
        ((Step.TRANSFER_APPROVE, "S-B"), (Step.TRANSFER_REJECT, "S-B"), (Step.TRANSFER_REJECT, "dc")),
        ((Step.PACK, "S-A"), (Step.UNPACK, "S-A"), (Step.SHIP, "S-A"), (Step.SELL, "S-A"), (Step.RETURN, "S-A")),
    )
)
_PLANNED, _FOLLOWING, _UNKNOWN_SITE, _ONE_OF_FIVE = 0.5, 0.8, 0.01, 0.2


class History(NamedTuple):
    """Events as they happened, and the batches in which they arrive, late ones last and some of them twice."""

    events: list[Event]
    batches: list[list[Event]]


def make_history(seed: int, sites: Sequence[str] = tuple(SITES), dealers: Sequence[str] = DEALERS) -> History:
    """Return the history of a seed: 30 to 48 events of seven units, and of their product and lot."""
    chance = random.Random(seed)
    stage = dict.fromkeys(UNITS, 0)
    names = dict(zip(SITES, sites, strict=True))
    people = dict(zip(DEALERS, dealers, strict=True))
    events: list[Event] = []
    moment = START
    story: list[dict[str, Any]] = []
    for number in range(chance.randint(30, 48)):
        moment += timedelta(minutes=chance.choice((0, 1, 4, 30, 90)))
        if not story and _rarely(chance, 40):
            unit = chance.choice(UNITS)
            story = [_filled(chance, unit, *scene) for scene in chance.choice(_STORIES)]
        kind = chance.random()
        if story and not _rarely(chance, 4):
            draft = story.pop(0)
        elif kind < _PLANNED:
            draft = _planned(chance, stage)
        else:
            draft = _following(chance, events) if kind < _FOLLOWING and events else _drawn(chance, events)
        draft["site"] = "nowhere" if chance.random() < _UNKNOWN_SITE else names.get(draft["site"], draft["site"])
        if draft.get("dealer"):
            draft["dealer"] = people[draft["dealer"]]
        source = Source(chance.choice(("erp", "station")), _BOOT, number)
        events.append(Event(occurred_at=moment, source=source, **draft))
    return History(events, list(_arrivals(chance, events)))


def _planned(chance: random.Random, stage: dict[str, int]) -> dict[str, Any]:
    """Return the next thing that usually happens to a unit."""
    unit = chance.choice(UNITS)
    step, site = _WALK[stage[unit] % len(_WALK)]
    stage[unit] += 1
    if step is Step.PACK and unit == PALLET:
        step, site = Step.SHIP, "dc"
    return _filled(chance, unit, step, site)


def _following(chance: random.Random, events: Sequence[Event]) -> dict[str, Any]:
    """Return what may follow upon one of the last events, on its unit or on another one."""
    last = chance.choice(events[-3:])
    step, site = chance.choice(_FOLLOW.get(last.step, ((Step.INSPECT, ""),)))
    unit = chance.choice(UNITS) if step is Step.UNPACK and _rarely(chance, 2) else last.unit
    return _filled(chance, unit, step, site or last.site)


def _rarely(chance: random.Random, times: int) -> bool:
    return chance.randrange(times) == 0


def _drawn(chance: random.Random, events: Sequence[Event]) -> dict[str, Any]:
    step = chance.choice(tuple(Step))
    unit = chance.choice(UNITS)
    if step in {Step.RECALL, Step.BLOCK, Step.UNBLOCK} and _rarely(chance, 3):
        unit = chance.choice((PRODUCT, LOT))
    elif _rarely(chance, 50):
        unit = LOT
    draft = _filled(chance, unit, step, chance.choice(tuple(SITES)))
    if step is Step.CORRECT and events:
        target = chance.choice(events[-12:])
        draft["corrects"] = target.source
        draft["unit"] = unit if _rarely(chance, 10) else target.unit
    return draft


def _filled(chance: random.Random, unit: str, step: Step, site: str) -> dict[str, Any]:
    draft: dict[str, Any] = {"unit": unit, "step": step, "site": site}
    if step is Step.REBIND:
        draft["approvers"] = chance.choice((("U1", "U2"), ("U1", "U2"), ("U1",)))
    if step in {Step.SHIP, Step.TRANSFER_REQUEST, Step.REBIND}:
        dealer = "B" if step is Step.TRANSFER_REQUEST and not _rarely(chance, 8) else chance.choice(("A", "A", "B"))
        draft["dealer"] = None if _rarely(chance, 33) else dealer
        draft["shipment"] = chance.choice(_NUMBERS)
    elif step in {Step.VOID, Step.TRANSFER_APPROVE, Step.TRANSFER_REJECT, Step.RETURN}:
        draft["shipment"] = chance.choice((*_NUMBERS, None, None))
    elif step is Step.PACK:
        usual = PALLET if unit in CASES else chance.choice(CASES)
        draft["parent"] = chance.choice((*UNITS, PRODUCT)) if _rarely(chance, 7) else usual
    elif step is Step.UNPACK:
        draft["parent"] = chance.choice((None, None, *CASES, PALLET))
    elif step in {Step.BLOCK, Step.RECALL}:
        draft["reason"] = "leak"
    if unit in ITEMS[:2] and step is Step.PACK:
        draft["lot"] = LOT
    if unit == ITEMS[3]:
        draft["verified"] = True
    return draft


def _arrivals(chance: random.Random, events: Sequence[Event]) -> Iterator[list[Event]]:
    """Yield batches; of five events one is late (by one batch or more) or comes twice."""
    size = chance.randint(3, 12)
    batches = [list(events[start : start + size]) for start in range(0, len(events), size)]
    batches.append([])
    for number, batch in enumerate(list(batches[:-1])):
        for event in list(batch):
            if event in events[number * size : (number + 1) * size] and chance.random() < _ONE_OF_FIVE:
                later = batches[chance.randint(number + 1, len(batches) - 1)]
                later.append(event)
                if _rarely(chance, 2):
                    batch.remove(event)
    for batch in batches:
        chance.shuffle(batch)
        if batch:
            yield batch
