"""Rules between rows: what one table says must exist in another, at the moment it says so."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from functools import cached_property
from typing import Final

import numpy as np

from geofence.coordinates import Crs, to_wgs84
from geofence.errors import UnknownAdcodeError
from geofence.maps import AtomMap
from trace_service.channel.contracts import clashes, counties, period
from trace_service.channel.problems import Problem, Spot
from trace_service.channel.rows import Entry
from trace_service.channel.tree import path_at, tree_faults
from trace_service.channel.versions import Channel

_LEVELS: Final = {"each": 0, "inner": 1, "case": 2, "pallet": 3}
_DEEPEST_PACK: Final = 8
_CITY: Final = re.compile(r"\d{4}00")
_MOST_LATITUDE: Final = 90.0


class Checks:
    """All rules over one plan: `entries` are the rows that change something, with the moment each takes effect."""

    def __init__(
        self, channel: Channel, brand: str, atoms: AtomMap | None, entries: Iterable[tuple[Entry, datetime]]
    ) -> None:
        self._channel = channel
        self._brand = brand
        self._atoms = atoms
        self._entries = list(entries)

    def problems(self) -> Iterator[Problem]:
        """Yield every problem, in the order of the rows and then of the tree and the contracts."""
        rules: Mapping[str, Callable[[Entry, datetime], Iterator[Problem]]] = {
            "pack": self._pack, "contract": self._contract, "site": self._site, "staff": self._staff,
            "device": self._device,
        }  # fmt: skip
        for entry, moment in self._entries:
            if entry.kind in rules and not entry.ended:
                yield from rules[entry.kind](entry, moment)
        yield from self._tree()
        yield from self._glns()
        yield from self._contracts()

    def _missing(self, entry: Entry, column: str, kind: str, moment: datetime) -> Iterator[Problem]:
        """Tell of a cell that names something which does not exist at that moment."""
        key = entry.facts.get(column)
        line = self._channel.line(kind, key) if key else None
        if key and (line is None or line.brand not in {self._brand, None}):
            yield entry.problem(f"UNKNOWN_{kind.upper()}", column, value=key)
        elif key and self._channel.at(kind, key, moment) is None:
            yield entry.problem("NOT_THEN", column, value=key, moment=moment.date().isoformat())

    def _pack(self, entry: Entry, moment: datetime) -> Iterator[Problem]:
        facts = entry.facts
        yield from self._missing(entry, "product", "product", moment)
        product = self._channel.at("product", facts["product"], moment)
        inner = "each" if facts["contains"] == facts["product"] else None
        pack = self._channel.at("pack", facts["contains"], moment)
        if inner is None and pack is not None and pack.facts["product"] == facts["product"]:
            inner = str(pack.facts["level"])
        if inner is None or entry.key == facts["product"]:
            yield entry.problem("PACK_CONTENT", "contains", value=facts["contains"], product=facts["product"])
        elif _LEVELS[inner] >= _LEVELS[facts["level"]]:
            yield entry.problem("PACK_ORDER", "level", level=facts["level"], inner=inner)
        elif facts["level"] == "case" and product is not None:
            items = self._items(entry.key, moment)
            if items != product.facts["items_per_case"]:
                yield entry.problem("PACK_QUANTITY", "quantity", items=items, expected=product.facts["items_per_case"])

    def _items(self, pack: str, moment: datetime) -> int:
        items = 1
        for _ in range(_DEEPEST_PACK):
            version = self._channel.at("pack", pack, moment)
            if version is None:
                break
            items *= int(version.facts["quantity"])
            pack = str(version.facts["contains"])
        return items

    def _contract(self, entry: Entry, moment: datetime) -> Iterator[Problem]:
        times = period(entry.facts)
        yield from self._missing(entry, "dealer", "dealer", max(moment, times.starts))
        if times.ends is not None and times.ends <= times.starts:
            yield entry.problem("ENDS_BEFORE_START", "ends_on")
        for line in entry.facts["product_lines"]:
            if line not in self._product_lines:
                yield entry.warning("UNKNOWN_PRODUCT_LINE", "product_lines", value=line)
        for adcode in entry.facts["adcodes"]:
            if self._atoms is not None and not self._knows(adcode):
                yield entry.problem("UNKNOWN_ADCODE", "adcodes", value=adcode[:40])

    def _site(self, entry: Entry, moment: datetime) -> Iterator[Problem]:
        yield from self._missing(entry, "dealer", "dealer", moment)
        lon, lat, adcode = (entry.facts[name] for name in ("lon", "lat", "adcode"))
        if (lon is None) != (lat is None):
            yield entry.problem("HALF_A_POSITION", "lon" if lon is None else "lat")
            return
        known = self._atoms is None or adcode is None or self._knows(adcode)
        if not known:
            yield entry.problem("UNKNOWN_ADCODE", "adcode", value=adcode)
        if lon is not None and self._atoms is not None:
            yield from self._position(entry, (lon, lat), adcode if known else None)

    def _position(self, entry: Entry, position: tuple[float, float], adcode: str | None) -> Iterator[Problem]:
        atoms = self._atoms
        assert atoms is not None  # noqa: S101  asked by the caller
        lons, lats = to_wgs84(*position, Crs(entry.facts["crs"]), atoms.mainland())
        found = atoms.locate(float(lons[0]), float(lats[0]))
        swapped = abs(position[0]) <= _MOST_LATITUDE and atoms.locate(position[1], position[0]) is not None
        if found is None and swapped:
            yield entry.problem("COORDINATES_SWAPPED", "lon", lon=str(position[0]), lat=str(position[1]))
        elif found is None:
            yield entry.warning("OFF_MAP", "lon", lon=str(position[0]), lat=str(position[1]))
        elif adcode is not None and found not in atoms.counties_of(adcode):
            # Public maps disagree about borders by some hundred metres: a neighbouring county is no certain mistake.
            near = _CITY.fullmatch(adcode) is None and found[:4] == adcode[:4]
            tell = entry.warning if near else entry.problem
            yield tell("OUTSIDE_DIVISION", "adcode", value=adcode, found=found)

    def _staff(self, entry: Entry, moment: datetime) -> Iterator[Problem]:
        yield from self._missing(entry, "dealer", "dealer", moment)
        yield from self._missing(entry, "site", "site", moment)

    def _device(self, entry: Entry, moment: datetime) -> Iterator[Problem]:
        yield from self._missing(entry, "site", "site", moment)

    def _knows(self, adcode: str) -> bool:
        try:
            return self._atoms is not None and len(self._atoms.atom_indexes(adcode)) > 0
        except UnknownAdcodeError:
            return False

    def _tree(self) -> Iterator[Problem]:
        rows = {entry.key: entry for entry, _ in self._entries if entry.kind == "dealer"}
        if not rows:
            return
        for fault in tree_faults(self._channel, self._brand):
            entry = rows.get(fault.dealer)
            if entry is None:
                yield Problem(fault.code, Spot("", column=fault.dealer), dict(fault.parameters))
            else:
                yield entry.problem(
                    fault.code, "ended" if fault.code == "HAS_CHILDREN" else "parent", **fault.parameters
                )

    def _glns(self) -> Iterator[Problem]:
        holders: dict[str, list[str]] = defaultdict(list)
        changed = {entry.key: (entry, moment) for entry, moment in self._entries if entry.kind == "site"}
        for key in self._channel.keys("site") if changed else ():
            newest = self._channel.lines["site", key].versions[-1]
            if newest.facts.get("gln") and not newest.ended:
                holders[newest.facts["gln"]].append(key)
        for key, (entry, _) in changed.items():
            others = [each for each in holders.get(entry.facts["gln"] or "", ()) if each != key]
            if others and not entry.ended:
                yield entry.problem("GLN_TWICE", "gln", value=entry.facts["gln"], other=others[0])

    def _contracts(self) -> Iterator[Problem]:
        rows = {entry.key: entry for entry, _ in self._entries if entry.kind == "contract" and not entry.ended}
        if not rows or self._atoms is None:
            return
        for clash in clashes(self._channel, rows, self._atoms):
            yield rows[clash.contract].problem(
                "CONTRACT_OVERLAP", "adcodes", other=clash.other, dealer=clash.other_dealer, count=clash.shared,
                counties=", ".join(clash.counties),
            )  # fmt: skip
        for entry, moment in self._entries:
            if entry.kind == "contract" and not entry.ended:
                yield from self._beyond_parent(entry, max(moment, period(entry.facts).starts))

    def _beyond_parent(self, entry: Entry, moment: datetime) -> Iterator[Problem]:
        """Warn of counties that the nearest ancestor with a contract of this channel does not have."""
        atoms = self._atoms
        if atoms is None:
            return
        for dealer in path_at(self._channel, entry.facts["dealer"], moment)[1:]:
            theirs = self._grants.get((dealer, entry.facts["channel"]))
            if not theirs:
                continue
            own = counties(entry.facts["adcodes"], atoms) - counties(theirs, atoms)
            if own:
                mask = np.zeros(atoms.atom_count, dtype=np.bool_)
                mask[sorted(own)[:5]] = True
                shown = ", ".join(atoms.codes_of(mask))
                yield entry.warning("BEYOND_PARENT", "adcodes", parent=dealer, count=len(own), counties=shown)
            return

    @cached_property
    def _product_lines(self) -> set[str | None]:
        """The lines that any product has or had."""
        lines = (self._channel.lines["product", key] for key in self._channel.keys("product"))
        return {version.facts.get("product_line") for line in lines for version in line.versions}

    @cached_property
    def _grants(self) -> Mapping[tuple[str, str], set[str]]:
        """The divisions of every dealer and sales channel, over all its contracts that have not been withdrawn."""
        found: dict[tuple[str, str], set[str]] = defaultdict(set)
        for key in self._channel.keys("contract"):
            newest = self._channel.lines["contract", key].versions[-1]
            if not newest.ended:
                found[newest.facts["dealer"], newest.facts["channel"]].update(newest.facts["adcodes"])
        return found
