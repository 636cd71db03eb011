"""One load cell of a shelf: who weighs on it, what was reported of it, and what a restart must not forget."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import structlog

from contracts.messages import Stock, encode_event
from contracts.shelf_registers import Holding
from contracts.topics import Kind
from edge.outbox import Draft
from edge.outbox.outbox import now_ms
from edge.shelf.mixed import MixedMemory, MixedWeigher
from edge.shelf.planogram import Line
from edge.shelf.weigh import Estimate, Memory, Sample, Weigher

HEARTBEAT_SECONDS: Final = 30.0
_NOTABLE: Final = 0.2
_log = structlog.get_logger(__name__)


class _Note(msgspec.Struct, frozen=True):
    """A cell's memory, valid only for the products it was made with; `zero` is its tare and calibration.

    `announced` are refills that are still awaited, or with several products how many units of each.
    """

    products: list[tuple[str, float]]
    single: Memory | None = None
    mixed: MixedMemory | None = None
    zero: tuple[int, int] | None = None
    announced: list[int] = []


class Facing:
    """One line of the planogram, and what was reported of it last."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.reported: Estimate | None = None
        self._reported_at = float("-inf")

    def report(self, estimate: Estimate, now: float) -> Draft | None:
        """Return what to send: a change at once, the same again every 30 s, otherwise nothing."""
        last = self.reported
        changed = last is None or (estimate.units, estimate.fault) != (last.units, last.fault)
        if last is not None and not changed:
            changed = abs(estimate.confidence - last.confidence) >= _NOTABLE
        if not changed and now - self._reported_at < HEARTBEAT_SECONDS:
            return None
        if changed:
            shown = {"channel": self.line.channel, "units": estimate.units, "confidence": estimate.confidence}
            _log.info("stock", action="shelf.stock", gtin=self.line.gtin, fault=estimate.fault, **shown)
        self.reported, self._reported_at = estimate, now
        at = now_ms()
        stock = Stock(
            ts=at,
            channel=self.line.channel,
            gtin=self.line.gtin,
            grams=estimate.grams,
            units=estimate.units,
            confidence=estimate.confidence,
            fault=estimate.fault,
        )
        return Draft(Kind.STOCK, encode_event(stock), at, slot=f"channel/{self.line.channel}")


class Cell:
    """One load cell with the facings that share it, mostly one."""

    def __init__(self, lines: Sequence[Line], notes: Mapping[str, str]) -> None:
        self.facings = [Facing(line) for line in lines]
        self._products = [(line.gtin, line.unit_weight_g) for line in lines]
        note = _recall(notes.get(self.note_name), self._products)
        self._zero = note.zero if note else None
        self._weigher: Weigher | MixedWeigher
        if len(lines) == 1:
            line = lines[0]
            self._weigher = Weigher(line.unit_weight_g, note.single if note else None, line.units, line.pack)
        else:
            known = [line.units for line in lines]
            self._weigher = MixedWeigher([each for _, each in self._products], known, note.mixed if note else None)
        for index, units in enumerate(note.announced if note else ()):
            self._await(index, units)

    @property
    def number(self) -> int:
        """The controller's own channel."""
        return self.facings[0].line.place[1]

    @property
    def note_name(self) -> str:
        """The name under which the outbox remembers the count."""
        return f"channel/{self.facings[0].line.channel}"

    @property
    def unit_weight_g(self) -> float:
        """What the controller's own count should go by: the lightest product."""
        return min(weight for _, weight in self._products)

    @property
    def tare_g(self) -> int | None:
        """What the planogram wants as tare, if anything."""
        return next((each.line.tare_g for each in self.facings if each.line.tare_g is not None), None)

    def note(self) -> str:
        """Return what to remember."""
        memory = self._weigher.memory
        single = memory if isinstance(memory, Memory) else None
        mixed = memory if isinstance(memory, MixedMemory) else None
        note = _Note(self._products, single, mixed, self._zero, self._weigher.announced)
        return msgspec.json.encode(note).decode()

    def settled(self, registers: Sequence[int]) -> None:
        """Take note of the controller's settings: under another tare or calibration, grams mean something else."""
        zero = (Holding.TARE.unpack(registers), Holding.CALIBRATION.unpack(registers))
        if self._zero not in {None, zero}:
            _log.warning("tare or calibration changed", action="shelf.tared", cell=self.number)
            self._weigher.restart()
        self._zero = zero

    def interrupt(self) -> None:
        """Forget the plateau: the controller started anew."""
        self._weigher.interrupt()

    def expect(self, gtin: str, units: int) -> None:
        """Expect a refill of a product, as many units as came in by scan."""
        for index, (product, _) in enumerate(self._products):
            if product == gtin:
                self._await(index, units)

    def _await(self, index: int, units: int) -> None:
        if isinstance(self._weigher, Weigher):
            self._weigher.expect(units)
        else:
            self._weigher.expect(index, units)

    def feed(self, sample: Sample, now: float, fault: str) -> list[Draft]:
        """Take a sample in and return what is to be reported; `fault` is the controller's own complaint."""
        found = self._weigher.feed(sample, now)
        if found is None:
            return []
        estimates = [found] if isinstance(found, Estimate) else found
        if fault:
            estimates = [each._replace(confidence=0.0, fault=fault) for each in estimates]
        pairs = zip(self.facings, estimates, strict=True)
        return [draft for facing, each in pairs if (draft := facing.report(each, now))]

    def doubt(self, fault: str, now: float) -> list[Draft]:
        """Mark the last figures as not to be believed any more."""
        drafts = []
        for facing, units in zip(self.facings, self._weigher.counts, strict=True):
            grams = facing.reported.grams if facing.reported else 0
            draft = facing.report(Estimate(units, grams, 0.0, fault), now)
            drafts += [draft] if draft else []
        return drafts


def _recall(note: str | None, products: list[tuple[str, float]]) -> _Note | None:
    if note is None:
        return None
    try:
        known = msgspec.json.decode(note, type=_Note)
        if known.single is not None:
            known.single.belief()
    except (msgspec.DecodeError, KeyError, ValueError) as error:
        _log.warning("what was remembered cannot be used", action="shelf.forgotten", error=str(error))
        return None
    return known if known.products == products else None
