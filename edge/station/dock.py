"""What a station knows of its orders: loads, stops, who works here. All of it outlives a power cut.

A method that changes something returns a `Change`: the notes that the station commits to its outbox together with the
scan, so that neither is ever there without the other. A note under `note/` is also posted to the trace service.
"""

import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Struct

from contracts import documents
from contracts.errors import CodeError
from contracts.gs1 import Identifier
from contracts.manifest import Standing, StationOrder
from contracts.messages import Activity
from contracts.stations import Note, NoteKind
from edge.manifest import Manifest, ManifestStore
from edge.station.hub import Claim, Hub
from edge.station.judge import Case, Judgement, judge_receiving, judge_shipping
from edge.station.load import Counted, LineState, Load
from edge.station.order import Order
from edge.station.release import Releases
from edge.station.verdict import Verdict

NOTE: Final = "note/"
_LOAD: Final = "load/"
_STATE: Final = "dock"
_COUNTED = msgspec.json.Decoder(Counted)


class Stop(Struct, frozen=True):
    """Why the station stands still: the verdict, its reason, and the unit."""

    verdict: str
    reason: str
    other: str
    unit: str
    order: str
    at: int


class State(Struct, frozen=True):
    """What a dock remembers besides its loads; `mark` is what happens to the next unit: scrap or damaged."""

    operator: str = ""
    shift: str = ""
    stopped: Stop | None = None
    mark: str = ""
    document: str = ""
    closed: tuple[str, ...] = ()


class Change(NamedTuple):
    """What something led to, and the notes to commit with it."""

    verdict: Verdict
    reason: str = ""
    notes: Mapping[str, str] = {}
    other: str = ""


class Tools(NamedTuple):
    """What a dock works with; `enforce` tells whether a bad verdict stops the station and is not shipped."""

    manifests: ManifestStore
    key: Ed25519PublicKey
    hub: Hub | None
    enforce: bool
    clock: Callable[[], int]
    refresh: Callable[[], None]


class Dock:
    """The orders of one station; used by one thread at a time."""

    def __init__(self, tools: Tools, noted: Mapping[str, str]) -> None:
        self._tools = tools
        self._releases = Releases(tools.clock)
        self.state = msgspec.json.decode(noted[_STATE], type=State) if _STATE in noted else State()
        self._loads: dict[str, Load] = {}
        self._version = -1
        for name in sorted(noted):
            if name.startswith(_LOAD):
                _, order, _ = name.split("/", 2)
                self._load(order).add(_COUNTED.decode(noted[name]))

    @property
    def enforces(self) -> bool:
        """Whether a bad verdict stops the station."""
        return self._tools.enforce

    @property
    def manifest(self) -> Manifest | None:
        """The manifest in use; loads are named by its hashes from the moment it comes."""
        found = self._tools.manifests.current
        if found is not None and found.head.version != self._version:
            self._version = found.head.version
            for name, load in self._loads.items():
                self._loads[name] = _renamed(load, found)
        return found

    def order_of(self, order: Order) -> StationOrder | None:
        """Return what the manifest says of the order that is worked on."""
        manifest = self.manifest
        return manifest.order(order.reference, order.to) if manifest and order.activity is Activity.SHIP else None

    def lines(self, order: Order) -> list[LineState]:
        """Return the countdown of the order that is worked on."""
        known = self.order_of(order)
        return self._load(order.reference).lines(known) if known else []

    def begin(self, order: Order) -> Change:
        """Begin to load or receive an order; raises `CodeError` for one of another dealer, or one that is closed."""
        known = self.order_of(order)
        if known and order.to and known.dealer.upper() != order.to.upper():
            raise CodeError(f"order {order.reference} is for {known.dealer}, not for {order.to}")
        if order.activity is Activity.SHIP and order.reference in self.state.closed:
            raise CodeError(f"order {order.reference} was closed here", advice="Ask the office for another order.")
        if order.activity is not Activity.SHIP or self._load(order.reference).units:
            return Change(Verdict.ORDER)
        return Change(Verdict.ORDER, notes=self._note(NoteKind.LOAD_BEGUN, order))

    def judge(self, identifier: Identifier, order: Order) -> Judgement:
        """Judge one unit for the order that is worked on, and claim it at the hub before it counts."""
        manifest = self.manifest
        load = self._load(order.reference)
        case = Case(identifier, order, load, manifest, self._tools.clock())
        if order.activity is Activity.RECEIVE:
            return judge_receiving(case, manifest.inbound(order.reference) if manifest else set())
        found = judge_shipping(case)
        is_good = found.verdict in {Verdict.OK, Verdict.PROVISIONAL}
        return self._claimed(found, found.unit, order) if is_good and found.unit else found

    def _claimed(self, found: Judgement, unit: Counted, order: Order) -> Judgement:
        """Return what a good verdict is worth once this station's other loads and the hub were asked."""
        other = self._other_load(order.reference, unit)
        if other:
            return found._replace(verdict=Verdict.ALREADY_SHIPPED, reason="has_left", other=other)
        if self._tools.hub is None:
            return found
        answer = self._tools.hub.claim(Claim(order.reference, unit.key, unit.hash, unit.ancestors))
        if answer is None:
            return found._replace(verdict=Verdict.PROVISIONAL, reason=found.reason or "hub_away")
        if answer.granted:
            return found
        verdict = Verdict.DUPLICATE if answer.order == order.reference else Verdict.ALREADY_SHIPPED
        return found._replace(verdict=verdict, reason="at_station", other=f"{answer.station} · {answer.order}")

    def hub_confirms(self) -> bool | None:
        """Tell whether the hub answers; None without one."""
        return None if self._tools.hub is None else self._tools.hub.is_up

    def take(self, order: Order, judgement: Judgement, verdict: Verdict) -> dict[str, str]:
        """Put a unit on the load and return the note that keeps it; what was marked damaged stays so."""
        if judgement.unit is None:
            return {}
        damaged = self.state.mark == "damaged"
        unit = msgspec.structs.replace(judgement.unit, verdict=verdict.value, damaged=damaged)
        self._load(order.reference).add(unit)
        notes = {_name(order.reference, unit.key): msgspec.json.encode(unit).decode()}
        return notes | (self._become(mark="") if damaged else {})

    def stop(self, order: Order, verdict: Verdict, judgement: Judgement, unit: str) -> dict[str, str]:
        """Stand still until a supervisor releases the station."""
        stop = Stop(verdict.value, judgement.reason, judgement.other, unit, order.reference, self._tools.clock())
        told = self._note(
            NoteKind.STOPPED, order, unit, {"verdict": stop.verdict, "why": stop.reason, "other": stop.other}
        )
        return told | self._become(stopped=stop)

    def release(self, order: Order, supervisor: str, pin: str, reason: str) -> Change:
        """Let the station work on; raises `CodeError` for a wrong PIN, too many of them, or no reason."""
        stopped = self.state.stopped
        if stopped is None:
            return Change(Verdict.ORDER)
        signed = self._releases.check(self.manifest, supervisor, pin, reason)
        detail = {"by": signed, "reason": reason, "verdict": stopped.verdict, "since": stopped.at}
        notes = self._note(NoteKind.RELEASED, order, stopped.unit, detail)
        return Change(Verdict.ORDER, "released", notes | self._become(stopped=None))

    def undo(self, order: Order) -> Change:
        """Take the last unit off the load."""
        unit = self._load(order.reference).last()
        if unit is None:
            raise CodeError("there is nothing to take back")
        self._load(order.reference).remove(unit.hash)
        if self._tools.hub:
            self._tools.hub.let_go(order.reference, unit.hash)
        notes = {_name(order.reference, unit.key): ""}
        if order.activity is Activity.SHIP:
            notes |= self._note(NoteKind.UNDONE, order, unit.key, {"scanned_at": unit.at})
        return Change(Verdict.ORDER, "undone", notes, unit.key)

    def end(self, order: Order, signature: tuple[str, str, str] | None = None) -> Change:
        """Close the load, or tell that it differs; `signature` is a supervisor, a PIN and a reason for a difference.

        A station that only advises leaves an order that differs to the server. Raises `CodeError` for a wrong PIN.
        """
        if order.activity is Activity.RECEIVE:
            return self._receive(order)
        if order.activity is not Activity.SHIP or not order.reference:
            return Change(Verdict.ORDER)
        self._settle(order)
        known, load = self.order_of(order), self._load(order.reference)
        agrees = known is not None and load.agrees(known)
        if not agrees and signature is None:
            return Change(Verdict.DIFFERENCE if self.enforces else Verdict.ORDER, "difference")
        signed = "" if signature is None or agrees else self._releases.check(self.manifest, *signature)
        detail = {
            "agrees": agrees,
            "lines": [msgspec.to_builtins(line) for line in load.lines(known)] if known else [],
            "units": len(load.units),
            **({"signed_by": signed, "reason": signature[2]} if signature and signed else {}),
        }
        notes = self._note(NoteKind.LOAD_CLOSED, order, detail=detail)
        closed = (*self.state.closed[-199:], order.reference)
        return Change(Verdict.ORDER, "closed", notes | self._become(closed=closed))

    def operator(self, name: str, shift: str) -> Change:
        """Note who works here from now on."""
        notes = self._become(operator=name, shift=shift)
        return Change(Verdict.ORDER, "operator", notes | self._note(NoteKind.OPERATOR, Order(Activity.OBSERVE)), name)

    def mark(self, what: str) -> Change:
        """Say what happens to the next unit: scrap or damaged; said twice, nothing."""
        return Change(Verdict.ORDER, what, self._become(mark="" if self.state.mark == what else what))

    def scrap(self, unit: str) -> dict[str, str]:
        """Note that a label is waste."""
        return self._note(NoteKind.SCRAPPED, Order(Activity.OBSERVE), unit) | self._become(mark="")

    def package(self, order: Order, parent: str, kind: str, count: int) -> dict[str, str]:
        """Note that a case or pallet was closed."""
        return self._note(NoteKind.PACKAGE_CLOSED, order, parent, {"kind": kind, "count": count})

    def document(self, text: str) -> tuple[Order, Change]:
        """Begin to receive what an accompanying document lists; raises `CodeError` where it is not genuine."""
        code = documents.verify(text, self._tools.key)
        order = Order(Activity.RECEIVE, code.order)
        told = f"{code.units} · {code.items}"
        return order, Change(Verdict.ORDER, "document", self._become(document=text), told)

    def forget_left(self) -> dict[str, str]:
        """Return the notes that drop the units of closed loads which the manifest itself says have left."""
        manifest = self.manifest
        if manifest is None:
            return {}
        dropped: dict[str, str] = {}
        for name in self.state.closed:
            load = self._loads.get(name)
            for unit in load.units if load else ():
                found = manifest.find(unit.key)
                if found is None or found.standing is Standing.SHIPPED:
                    dropped[_name(name, unit.key)] = ""
            if load and len(dropped) >= len(load.units):
                del self._loads[name]
        return dropped

    def _settle(self, order: Order) -> None:
        """Look again at units whose contents nobody knew when they were scanned."""
        load = self._load(order.reference)
        if all(unit.contents for unit in load.units) and self.order_of(order):
            return
        self._tools.refresh()
        if self.manifest is not None:
            self._loads[order.reference] = _renamed(load, self.manifest)

    def _receive(self, order: Order) -> Change:
        load, manifest = self._load(order.reference), self.manifest
        expected = manifest.inbound(order.reference) if manifest else set()
        covered = {code for unit in load.units for code in (unit.hash, *unit.ancestors)}
        missing = expected - covered
        extra = [unit.key for unit in load.units if not expected.intersection((unit.hash, *unit.ancestors))]
        detail: dict[str, Any] = {
            "announced": len(expected),
            "received": [unit.key for unit in load.units if unit.key not in extra],
            "extra": extra if expected else [],
            "damaged": [unit.key for unit in load.units if unit.damaged],
            "missing": len(missing),
            "document": self.state.document,
        }
        notes = self._note(NoteKind.RECEIVED, order, detail=detail) | self._become(document="")
        notes |= {_name(order.reference, unit.key): "" for unit in load.units}
        del self._loads[order.reference]
        differs = bool(missing or detail["extra"] or detail["damaged"])
        told = f"{len(missing)} / {len(detail['extra'])} / {len(detail['damaged'])}"
        return Change(Verdict.ORDER, "received_differs" if differs else "received", notes, told)

    def _other_load(self, order: str, unit: Counted) -> str:
        """Return another order of this station that has a unit, which the manifest may not know yet."""
        others = (load for name, load in self._loads.items() if name != order)
        return next((load.order for load in others if load.holds(unit.hash, unit.ancestors)), "")

    def _load(self, order: str) -> Load:
        return self._loads.setdefault(order, Load(order))

    def _become(self, **changes: object) -> dict[str, str]:
        self.state = msgspec.structs.replace(self.state, **changes)
        return {_STATE: msgspec.json.encode(self.state).decode()}

    def _note(
        self, kind: NoteKind, order: Order, unit: str = "", detail: Mapping[str, object] | None = None
    ) -> dict[str, str]:
        known = self.order_of(order)
        note = Note(
            id=secrets.token_hex(16),
            at=self._tools.clock(),
            kind=kind,
            brand=known.brand if known else "",
            order=order.reference,
            unit=unit,
            operator=self.state.operator,
            shift=self.state.shift,
            detail=dict(detail or {}),
        )
        return {NOTE + note.id: msgspec.json.encode(note).decode()}


def _name(order: str, key: str) -> str:
    return f"{_LOAD}{order}/{key}"


def _renamed(load: Load, manifest: Manifest) -> Load:
    """Return a load with the hashes, ancestors and contents that this manifest knows."""
    fresh = Load(load.order)
    for unit in load.units:
        found = manifest.find(unit.key)
        if found is None:
            fresh.add(msgspec.structs.replace(unit, hash=manifest.hash_of(unit.key)))
            continue
        contents = dict(found.contents) or unit.contents
        fresh.add(msgspec.structs.replace(unit, hash=found.hash, ancestors=found.ancestors, contents=contents))
    return fresh
