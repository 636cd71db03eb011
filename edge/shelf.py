"""The shelf agent: polls a controller, counts units, and reports what changed."""

import threading
import time
from collections.abc import Sequence
from typing import Final

import msgspec
import structlog

from contracts.errors import OutboxError, OutboxFullError, SourceError
from contracts.messages import Environment, Stock, encode_event
from contracts.shelf_registers import Fault
from contracts.topics import Kind
from edge.backoff import Backoff
from edge.outbox import Draft, Outbox
from edge.outbox.outbox import now_ms
from edge.planogram import Line
from edge.sources.modbus import Reading, ShelfSource
from edge.weigh import Estimate, Memory, Weigher

POLL_SECONDS: Final = 0.25
HEARTBEAT_SECONDS: Final = 30.0
SILENT_SECONDS: Final = 10.0
_FIRST_WAIT_SECONDS: Final = 0.5
_LAST_WAIT_SECONDS: Final = 5.0
_NOTABLE: Final = 0.2
_COLDEST_C, _HOTTEST_C = -80, 85
_log = structlog.get_logger(__name__)


class _Note(msgspec.Struct, frozen=True):
    """A channel's memory, valid only for the product it was made with."""

    gtin: str
    unit_weight_g: float
    memory: Memory


class Channel:
    """One line of the planogram: its weigher, and what was reported last."""

    def __init__(self, line: Line, note: str | None) -> None:
        self.line = line
        self.weigher = Weigher(line.unit_weight_g, _recall(note, line))
        self._reported: Estimate | None = None
        self._reported_at = float("-inf")

    @property
    def note_name(self) -> str:
        """The name under which the outbox remembers the count."""
        return f"channel/{self.line.channel}"

    def note(self) -> str:
        """Return what to remember."""
        memory = self.weigher.memory
        if memory is None:
            return "null"
        return msgspec.json.encode(_Note(self.line.gtin, self.line.unit_weight_g, memory)).decode()

    def silent(self) -> Estimate | None:
        """Return the last figure, marked as not to be believed any more; None where there never was one."""
        memory = self.weigher.memory
        return Estimate(memory.units, round(memory.reference_g), 0.0, "SILENT") if memory else None

    def report(self, estimate: Estimate, now: float) -> Draft | None:
        """Return what to send: a change at once, the same again every 30 s, otherwise nothing."""
        last = self._reported
        changed = last is None or (estimate.units, estimate.fault) != (last.units, last.fault)
        if last is not None and not changed:
            changed = abs(estimate.confidence - last.confidence) >= _NOTABLE
        if not changed and now - self._reported_at < HEARTBEAT_SECONDS:
            return None
        if changed:
            shown = {"channel": self.line.channel, "units": estimate.units, "confidence": estimate.confidence}
            _log.info("stock", action="shelf.stock", gtin=self.line.gtin, fault=estimate.fault, **shown)
        self._reported, self._reported_at = estimate, now
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
        return Draft(Kind.STOCK, encode_event(stock), at, slot=self.note_name)


class ShelfAgent:
    """Runs one shelf until it is told to stop."""

    def __init__(self, outbox: Outbox, source: ShelfSource, planogram: Sequence[Line]) -> None:
        self._outbox = outbox
        self._source = source
        notes = outbox.notes()
        self._channels = [Channel(line, notes.get(f"channel/{line.channel}")) for line in planogram]
        self._backoff = Backoff(_FIRST_WAIT_SECONDS, _LAST_WAIT_SECONDS)
        self._answered_at = time.monotonic()
        self._next_climate = 0.0
        self._complaint: str | None = ""
        self._faults = Fault(0)

    def run(self, stop: threading.Event) -> None:
        """Poll until `stop` is set; a controller that does not answer is waited for."""
        while not stop.is_set():
            started = time.monotonic()
            try:
                reading = self._source.poll()
            except SourceError as error:
                self._source.close()
                self._miss(error, started)
                stop.wait(self._backoff.wait())
            else:
                self._backoff.reset()
                self._digest(reading, started)
                stop.wait(max(0.0, started + POLL_SECONDS - time.monotonic()))
        self._source.close()

    def _digest(self, reading: Reading, now: float) -> None:
        self._greet(reading)
        self._answered_at = now
        drafts, notes = [], {}
        for channel in self._channels:
            sample = reading.channels.get(channel.line.channel)
            estimate = sample and channel.weigher.feed(sample, now)
            if estimate and (draft := channel.report(estimate, now)):
                drafts.append(draft)
                notes[channel.note_name] = channel.note()
        drafts += self._climate(reading, now)
        self._keep(drafts, notes)

    def _keep(self, drafts: list[Draft], notes: dict[str, str]) -> None:
        if not drafts:
            return
        try:
            self._outbox.add(drafts, notes)
        except (OutboxFullError, OutboxError) as error:
            _log.critical(error.message, action="shelf.refused", advice=error.advice, readings=len(drafts))

    def _climate(self, reading: Reading, now: float) -> list[Draft]:
        if now < self._next_climate:
            return []
        self._next_climate = now + HEARTBEAT_SECONDS
        temperature, humidity = reading.temperature_c, reading.humidity
        if temperature is None or not _COLDEST_C <= temperature <= _HOTTEST_C:
            _log.warning("the temperature is not known", action="shelf.no_climate", temperature_c=temperature)
            return []
        if humidity is not None and humidity > 100:  # noqa: PLR2004 - percent
            humidity = None
        at = now_ms()
        climate = Environment(ts=at, temperature_c=temperature, humidity=humidity)
        return [Draft(Kind.ENV, encode_event(climate), at, slot="climate")]

    def _greet(self, reading: Reading) -> None:
        """Log what changed about the controller itself: it answers again, it complains, it lacks a channel."""
        if self._complaint is not None:
            missing = [each.line.channel for each in self._channels if each.line.channel not in reading.channels]
            _log.info("the controller answers", action="shelf.linked", firmware=reading.firmware)
            if missing:
                _log.error("the planogram names channels that are not there", action="shelf.missing", channels=missing)
            self._complaint = None
        if reading.faults != self._faults:
            _log.warning("the controller reports", action="shelf.faults", faults=str(reading.faults))
            self._faults = reading.faults

    def _miss(self, error: SourceError, now: float) -> None:
        """Log the first failure of a series; after a while mark every figure as not to be believed."""
        if not self._complaint:
            _log.error(error.message, action="shelf.silent", advice=error.advice)
        self._complaint = error.message
        if now - self._answered_at > SILENT_SECONDS:
            estimates = ((channel, channel.silent()) for channel in self._channels)
            drafts = [channel.report(estimate, now) for channel, estimate in estimates if estimate]
            self._keep([draft for draft in drafts if draft], {})


def _recall(note: str | None, line: Line) -> Memory | None:
    if note is None:
        return None
    known = msgspec.json.decode(note, type=_Note | None)
    if known is None or (known.gtin, known.unit_weight_g) != (line.gtin, line.unit_weight_g):
        return None
    return known.memory
