"""The dealers' tree through time: no circle at any moment, nobody below one who has closed, and its order keys."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

from trace_service.channel.versions import Channel

TREE_STEP = 1000


class TreeFault(NamedTuple):
    """Something wrong with a dealer from a moment on: `code` and what its words need."""

    dealer: str
    moment: datetime
    code: str
    parameters: dict[str, str]


class Place(NamedTuple):
    """A dealer's level (0 for a root) and sparse nested-set keys."""

    level: int
    lft: int
    rgt: int


def path_at(channel: Channel, dealer: str, moment: datetime) -> list[str]:
    """Return the dealer's chain at a moment, itself first; it ends where a circle would begin again."""
    path: list[str] = []
    place: str | None = dealer
    while place is not None and place not in path:
        path.append(place)
        line = channel.line("dealer", place)
        version = line.at(moment) if line else None
        place = version.facts.get("parent") if version else None
    return path


def tree_faults(channel: Channel, brand: str) -> Iterator[TreeFault]:
    """Yield every fault of the tree, at the moment from which it holds.

    A circle is complete when the last of its links begins, so it is enough to look at each link's own beginning.
    """
    children: dict[str, set[str]] = defaultdict(set)
    for key in list(channel.keys("dealer")):
        for version in channel.lines["dealer", key].versions:
            if version.facts.get("parent"):
                children[version.facts["parent"]].add(key)
    for key in sorted(channel.keys("dealer")):
        for version in channel.lines["dealer", key].versions:
            if version.ended:
                yield from _orphans(channel, key, version.valid_from, children[key])
            elif version.facts.get("parent"):
                yield from _link_faults(channel, brand, key, version.valid_from)


def _link_faults(channel: Channel, brand: str, dealer: str, moment: datetime) -> Iterator[TreeFault]:
    path = path_at(channel, dealer, moment)
    line = channel.line("dealer", path[-1])
    last = line.at(moment) if line else None
    closing = last.facts.get("parent") if last else None
    if closing == dealer:
        yield TreeFault(dealer, moment, "CYCLE", {"path": " → ".join([*path, dealer])})
        return
    parent = path[1] if len(path) > 1 else dealer
    known = channel.line("dealer", parent)
    if parent == dealer or known is None or known.brand != brand:
        yield TreeFault(dealer, moment, "UNKNOWN_PARENT", {"parent": parent})
    elif channel.at("dealer", parent, moment) is None:
        yield TreeFault(dealer, moment, "PARENT_CLOSED", {"parent": parent, "moment": moment.isoformat()})


def _orphans(channel: Channel, dealer: str, moment: datetime, children: set[str]) -> Iterator[TreeFault]:
    for child in sorted(children):
        version = channel.at("dealer", child, moment)
        if version is not None and version.facts.get("parent") == dealer:
            yield TreeFault(dealer, moment, "HAS_CHILDREN", {"child": child, "moment": moment.isoformat()})


def order_keys(parents: Mapping[str, str | None]) -> dict[str, Place]:
    """Return every dealer's place; siblings by id. The tree may be of any depth. Parents must be among the keys."""
    children: dict[str | None, list[str]] = defaultdict(list)
    for dealer in sorted(parents):
        children[parents[dealer]].append(dealer)
    places: dict[str, Place] = {}
    counter = 0
    # Each dealer is met twice: on the way down, when its left key is known, and on the way up.
    waiting: list[tuple[str, int, int | None]] = [(root, 0, None) for root in reversed(children[None])]
    while waiting:
        dealer, level, left = waiting.pop()
        counter += TREE_STEP
        if left is not None:
            places[dealer] = Place(level, left, counter)
            continue
        waiting.append((dealer, level, counter))
        waiting.extend((child, level + 1, None) for child in reversed(children[dealer]))
    return places
