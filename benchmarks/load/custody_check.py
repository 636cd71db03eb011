"""Holds custody, kept up to date batch by batch, against the reference, and counts which transitions were met."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from benchmarks.load.custody_histories import PRODUCT, SITES, UNITS, make_history
from benchmarks.load.custody_memory import MemoryCustody
from benchmarks.load.custody_reference import Reference, outcome_of
from trace_service.domain.events import Event, Step

_DEAD: Final = "not_commissioned already_sold ended"
_EVERYWHERE: Final = "unknown_site code_not_accepted"
_HOLD: Final = "accepted no_news not_authorised ended unknown_site"
TRANSITIONS: Final[Mapping[Step, str]] = {
    Step.COMMISSION: f"accepted no_news already_commissioned ended {_EVERYWHERE}",
    Step.PACK: f"accepted no_news parent_invalid already_packed already_shipped packing_cycle parent_ended"
    f" parent_shipped held_elsewhere transfer_pending {_DEAD} {_EVERYWHERE}",
    Step.UNPACK: f"accepted not_packed wrong_parent already_shipped held_elsewhere transfer_pending {_DEAD}"
    f" {_EVERYWHERE}",
    Step.SHIP: f"accepted no_news unknown_dealer inside_parent already_shipped transfer_pending recalled blocked"
    f" {_DEAD} {_EVERYWHERE}",
    Step.VOID: f"accepted ended inside_parent not_shipped wrong_shipment not_authorised {_EVERYWHERE}",
    Step.RECEIVE: f"accepted not_shipped {_DEAD} {_EVERYWHERE}",
    Step.TRANSFER_REQUEST: "accepted no_news unknown_dealer inside_parent already_shipped not_received held_elsewhere"
    f" not_authorised transfer_pending recalled blocked {_DEAD} {_EVERYWHERE}",
    Step.TRANSFER_APPROVE: f"accepted ended transfer_unknown not_authorised recalled blocked {_EVERYWHERE}",
    Step.TRANSFER_REJECT: f"accepted transfer_unknown not_authorised {_EVERYWHERE}",
    Step.REBIND: f"accepted no_news inside_parent not_shipped not_authorised {_DEAD} {_EVERYWHERE}",
    Step.RETURN: f"accepted no_news inside_parent already_shipped not_shipped held_elsewhere transfer_pending {_DEAD}"
    f" {_EVERYWHERE}",
    Step.SELL: f"accepted no_news not_received not_shipped held_elsewhere transfer_pending recalled blocked {_DEAD}"
    f" {_EVERYWHERE}",
    Step.CONSUME: f"no_news {_EVERYWHERE}",
    Step.INSPECT: f"no_news {_EVERYWHERE}",
    Step.RECALL: _HOLD,
    Step.BLOCK: _HOLD,
    Step.UNBLOCK: "accepted not_blocked not_authorised unknown_site",
    Step.DECOMMISSION: f"accepted no_news already_shipped not_commissioned ended inside_parent held_elsewhere"
    f" {_EVERYWHERE}",
    Step.DESTROY: f"accepted no_news not_commissioned ended inside_parent held_elsewhere {_EVERYWHERE}",
    Step.CORRECT: "accepted corrects_nothing",
}
"""Every outcome that a step can have."""


class Report(NamedTuple):
    """What histories showed: how many, of how many events, which differed from the reference, what was met."""

    histories: int
    events: int
    differing: Sequence[int]
    met: Counter[tuple[Step, str]]

    @classmethod
    def nothing(cls) -> "Report":
        """Return the report of no history."""
        return cls(0, 0, [], Counter())

    @property
    def missing(self) -> list[tuple[Step, str]]:
        """The transitions that no history met."""
        return [
            (step, word) for step, words in TRANSITIONS.items() for word in words.split() if not self.met[step, word]
        ]

    def coverage(self) -> list[str]:
        """Return a line a step: how often each outcome was met."""
        return [
            f"{step.value}: " + ", ".join(f"{word} {self.met[step, word]:,}" for word in words.split())
            for step, words in TRANSITIONS.items()
        ]


def merged(one: Report, other: Report) -> Report:
    """Return both reports as one."""
    differing = [*one.differing, *other.differing]
    return Report(one.histories + other.histories, one.events + other.events, differing, one.met + other.met)


def check(seeds: Iterable[int]) -> Report:
    """Play histories; refusals of all events and states of all units, now and halfway, must be the reference's."""
    met: Counter[tuple[Step, str]] = Counter()
    differing = []
    histories = events = 0
    for seed in seeds:
        histories += 1
        history = make_history(seed)
        events += len(history.events)
        custody = MemoryCustody(SITES)
        for batch in history.batches:
            custody.take(batch)
        contents = contents_of(history.events)
        reference = Reference(SITES, contents).play(history.events)
        for event in history.events:
            met[event.step, reference.outcomes.get(event.source, "retracted").replace(" ", "_")] += 1
        if not _agrees(history.events, custody, reference, contents):
            differing.append(seed)
    return Report(histories, events, differing, met)


def contents_of(events: Sequence[Event]) -> dict[str, set[str]]:
    """Return the product and the lots that were ever packed into each container, at any depth."""
    parents: dict[str, set[str]] = defaultdict(set)
    for event in events:
        if event.step is Step.PACK and event.parent:
            parents[event.unit].add(event.parent)
    found: dict[str, set[str]] = defaultdict(set)
    for event in events:
        classes = {event.lot} if event.lot else set()
        classes |= {PRODUCT} if event.step is Step.PACK and "/21/" in event.unit else set()
        above, rest = set[str](), set(parents[event.unit])
        while rest:
            above |= rest
            rest = {outer for unit in rest for outer in parents[unit]} - above
        for container in above:
            found[container] |= classes
    return found


def _agrees(
    events: Sequence[Event], custody: MemoryCustody, reference: Reference, contents: Mapping[str, set[str]]
) -> bool:
    refused = {source: why.value for found in custody.refused.values() for source, why in found.items()}
    if refused != reference.refused:
        return False
    end, halfway = events[-1].occurred_at, events[len(events) // 2].occurred_at
    earlier = Reference(SITES, contents).play(events, halfway)
    return all(
        custody.state_at(unit, end) == outcome_of(reference, unit)
        and custody.state_at(unit, halfway) == outcome_of(earlier, unit)
        for unit in UNITS
    )
