"""A verified manifest, ready for look-ups.

Sorted arrays of the standard library and bisection: 12 bytes a code, no import of numpy on the device, and a start in
a fraction of a second. A dictionary would answer no faster for the station and take ten times the memory.
"""

from array import array
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Mapping
from itertools import chain, repeat
from typing import NamedTuple

from contracts import manifest as wire
from contracts.manifest import Head, Product, Reference, Standing, StationOrder


class Found(NamedTuple):
    """What the manifest says of one unit.

    `ancestors` are the hashes of its case and pallet, innermost first; `contents` counts single items by GTIN, and is
    empty where nobody knows what is inside. `blocked` says why it must not move, or is empty.
    """

    hash: int
    standing: Standing
    ancestors: tuple[int, ...]
    contents: Mapping[str, int]
    reference: Reference | None
    blocked: str
    is_container: bool


class Manifest:
    """Look-ups in a manifest whose signature was verified by the caller."""

    def __init__(self, data: bytes, head: Head) -> None:
        self.head = head
        self._salt = bytes.fromhex(head.salt)
        self._orders: dict[str, list[StationOrder]] = defaultdict(list)
        for order in head.orders:
            self._orders[order.id].append(order)
        self._rows, self._counts, items = wire.tables(data, head)
        self._containers = array("Q", (row.container for row in self._rows))
        ranks = array("I", sorted(range(len(items)), key=items.__getitem__))
        owners = array("I", chain.from_iterable(map(repeat, range(len(self._rows)), self._counts)))
        self._items = array("Q", map(items.__getitem__, ranks))
        self._owners = array("I", map(owners.__getitem__, ranks))
        self._children: dict[int, set[int]] = defaultdict(set)
        for row in self._rows:
            if row.parent:
                self._children[row.parent].add(row.container)
        self._blocked = dict(wire.states(head))
        self._tainted = self._holding_blocked()

    @property
    def codes(self) -> int:
        """How many item codes it knows."""
        return len(self._items)

    def is_expired(self, now_ms: int) -> bool:
        """Whether its time is over."""
        return now_ms >= self.head.expires_at

    def order(self, name: str, to: str = "") -> StationOrder | None:
        """Return an open order; where two brands have one of that number, the one that is for the dealer `to`."""
        found = self._orders.get(name, [])
        return next((each for each in found if each.dealer.upper() == to.upper()), found[0] if found else None)

    def product(self, gtin: str) -> Product | None:
        """Return a product."""
        return next((each for each in self.head.products if each.gtin == gtin), None)

    def hash_of(self, key: str) -> int:
        """Return the hash that names a unit in this manifest."""
        return wire.code_hash(self._salt, key)

    def find(self, key: str) -> Found | None:
        """Return what is known of the unit with this canonical key, None where it is not on the site's books."""
        code = self.hash_of(key)
        rows = self._rows_of(code)
        if rows:
            return self._container(code, rows)
        place = self._place(code)
        if place is None:
            blocked = self._blocked.get(code, "")
            return Found(code, Standing.ON_HAND, (), {}, None, blocked, is_container=False) if blocked else None
        row = self._rows[self._owners[place]]
        ancestors = () if row.container < wire.LOOSE_GROUPS else self._up(row.container)
        contents = {self.head.products[row.product].gtin: 1}
        return Found(
            code,
            Standing(row.standing),
            ancestors,
            contents,
            self._reference(row),
            self._why_blocked(code, ancestors),
            is_container=False,
        )

    def _container(self, code: int, rows: range) -> Found:
        row = self._rows[rows[0]]
        ancestors = self._up(code)[1:]
        return Found(
            code,
            Standing(row.standing),
            ancestors,
            self._contents(code),
            self._reference(row),
            self._why_blocked(code, ancestors) or self._tainted.get(code, ""),
            is_container=True,
        )

    def _why_blocked(self, code: int, ancestors: tuple[int, ...]) -> str:
        return next((why for each in (code, *ancestors) if (why := self._blocked.get(each, ""))), "")

    def _place(self, code: int) -> int | None:
        place = bisect_left(self._items, code)
        return place if place < len(self._items) and self._items[place] == code else None

    def _rows_of(self, container: int) -> range:
        if container < wire.LOOSE_GROUPS:
            return range(0)
        first = last = bisect_left(self._containers, container)
        while last < len(self._containers) and self._containers[last] == container:
            last += 1
        return range(first, last)

    def _contents(self, container: int) -> Mapping[str, int]:
        found: Counter[str] = Counter()
        for number in self._rows_of(container):
            product = self._rows[number].product
            if product != wire.NO_PRODUCT and self._counts[number]:
                found[self.head.products[product].gtin] += self._counts[number]
        for child in self._children.get(container, ()):
            found.update(self._contents(child))
        return found

    def _up(self, container: int) -> tuple[int, ...]:
        found = [container]
        while (rows := self._rows_of(found[-1])) and (parent := self._rows[rows[0]].parent) and parent not in found:
            found.append(parent)
        return tuple(found)

    def _reference(self, row: wire.Group) -> Reference | None:
        return None if row.reference == wire.NO_REFERENCE else self.head.references[row.reference]

    def _holding_blocked(self) -> dict[int, str]:
        """Return what holds a blocked unit, and why: a case with one recalled item inside does not leave."""
        found: dict[int, str] = {}
        for code, why in self._blocked.items():
            place = self._place(code)
            container = code if place is None else self._rows[self._owners[place]].container
            for each in () if container < wire.LOOSE_GROUPS else self._up(container):
                found.setdefault(each, why)
        return found

    def blocked_product(self, gtin: str) -> str:
        """Return why nothing of a product may move, or an empty text."""
        return self._blocked.get(self.hash_of(f"/01/{gtin}"), "")

    def inbound(self, order: str) -> set[int]:
        """Return the hashes of the outermost units that are on their way here by an order."""
        wanted = {number for number, each in enumerate(self.head.references) if each.order == order}
        found: set[int] = set()
        for number, row in enumerate(self._rows):
            if row.standing != Standing.INBOUND or row.reference not in wanted or row.parent:
                continue
            if row.container >= wire.LOOSE_GROUPS:
                found.add(row.container)
            else:
                pairs = zip(self._items, self._owners, strict=True)
                found.update(code for code, owner in pairs if owner == number)
        return found
