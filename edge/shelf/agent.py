"""The shelf agent: polls controllers, counts units, watches the climate, and reports what changed."""

import threading
import time
from collections.abc import Sequence
from typing import Final

import msgspec
import structlog

from contracts.errors import OutboxError, OutboxFullError, SourceError
from contracts.messages import encode_event
from contracts.shelf_registers import Fault, Holding
from contracts.stations import Refill
from contracts.topics import Kind
from edge.backoff import Backoff
from edge.outbox import Draft, Outbox
from edge.outbox.outbox import now_ms
from edge.shelf.cell import HEARTBEAT_SECONDS, Cell
from edge.shelf.climate import Climate, Kinetic, Limits
from edge.shelf.modbus import Reading, ShelfSource
from edge.shelf.planogram import Line, by_cell
from edge.shelf.refills import RefillFeed

POLL_SECONDS: Final = 0.25
SILENT_SECONDS: Final = 10.0
_FIRST_WAIT_SECONDS: Final = 0.5
_LAST_WAIT_SECONDS: Final = 5.0
NO_LIMITS: Final = Limits()
_KINETIC_NOTE: Final = "climate/kinetic"
_log = structlog.get_logger(__name__)


class ShelfAgent:
    """Runs one controller until it is told to stop; without `limits` it leaves the climate to another's agent."""

    def __init__(
        self, outbox: Outbox, source: ShelfSource, planogram: Sequence[Line], limits: Limits | None = NO_LIMITS
    ) -> None:
        self._outbox = outbox
        self._source = source
        notes = outbox.notes()
        self._cells = [Cell(sharing, notes) for _, sharing in by_cell(list(planogram))]
        self._backoff = Backoff(_FIRST_WAIT_SECONDS, _LAST_WAIT_SECONDS)
        self._answered_at = time.monotonic()
        self._climate = None if limits is None else Climate(limits, _kinetic(notes.get(_KINETIC_NOTE)))
        self._next_climate = 0.0
        self._last_alarm: tuple[str, bool | None] = ("", None)
        self._complaint: str | None = ""
        self._faults = Fault(0)
        self._refills: RefillFeed | None = None
        self._heard_note = f"refills/{self._cells[0].note_name}" if self._cells else ""
        heard = notes.get(self._heard_note, "")
        self.heard_until = int(heard) if heard.isdecimal() else 0
        """What came in before was announced already; milliseconds by the service's clock."""
        self._heard = False

    def announce(self, refills: RefillFeed) -> None:
        """Take refills from a feed of one's own."""
        self._refills = refills

    def expect(self, refill: Refill) -> None:
        """Expect what came in by scan to be put up."""
        _log.info("a refill is announced", action="shelf.announced", gtin=refill.gtin, units=refill.units)
        for cell in self._cells:
            cell.expect(refill.gtin, refill.units)

    def run(self, stop: threading.Event) -> None:
        """Poll until `stop` is set; a controller that does not answer is waited for."""
        while not stop.is_set():
            started = time.monotonic()
            try:
                reading = self._source.poll()
                if self._complaint is not None:
                    self._greet(reading)
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
        self._answered_at = now
        for refill in self._refills.news() if self._refills else ():
            self.expect(refill)
            self.heard_until, self._heard = max(self.heard_until, refill.at + 1), True
        drafts: list[Draft] = []
        notes: dict[str, str] = {}
        if reading.faults != self._faults:
            drafts += self._hear(reading.faults, now)
        supply = "SUPPLY" if Fault.SUPPLY in reading.faults else ""
        for cell in self._cells:
            sample = reading.channels.get(cell.number)
            found = cell.feed(sample, now, supply) if sample else cell.doubt("SILENT", now)
            if found:
                drafts += found
                notes[cell.note_name] = cell.note()
        climate, kinetic = self._watch(reading, now)
        if self._heard:
            notes = {cell.note_name: cell.note() for cell in self._cells} | {self._heard_note: str(self.heard_until)}
        kept = self._keep(drafts + climate, notes | kinetic)
        self._heard = self._heard and not kept

    def _keep(self, drafts: list[Draft], notes: dict[str, str]) -> bool:
        """Keep events and notes; say whether they are kept, which they are not where there is no event."""
        if not drafts:
            return False
        try:
            self._outbox.add(drafts, notes)
        except (OutboxFullError, OutboxError) as error:
            _log.critical(error.message, action="shelf.refused", advice=error.advice, readings=len(drafts))
            return False
        return True

    def _watch(self, reading: Reading | None, now: float) -> tuple[list[Draft], dict[str, str]]:
        """Return the climate: every 30 s, and at once where an alarm begins or ends or the door moves."""
        if self._climate is None:
            return [], {}
        at = now_ms()
        measured = (reading.temperature_c, reading.humidity) if reading else (None, None)
        seen = self._climate.see(at, now, *measured, door_open=reading.door_open if reading else None)
        if seen is None:
            if now >= self._next_climate:
                self._next_climate = now + HEARTBEAT_SECONDS
                _log.warning("the temperature is not known", action="shelf.no_climate", temperature_c=measured[0])
            return [], {}
        state = (seen.alarm, seen.door_open)
        if state == self._last_alarm and now < self._next_climate:
            return [], {}
        if seen.alarm != self._last_alarm[0]:
            _log.warning("climate", action="shelf.climate", alarm=seen.alarm, temperature_c=seen.temperature_c)
        self._last_alarm, self._next_climate = state, now + HEARTBEAT_SECONDS
        # An alarm is history: a later reading does not take its place in the outbox.
        draft = Draft(Kind.ENV, encode_event(seen), at, slot="" if seen.alarm else "climate")
        return [draft], {_KINETIC_NOTE: msgspec.json.encode(self._climate.kinetic).decode()}

    def _greet(self, reading: Reading) -> None:
        """Set the controller up, and log that it answers again; raises `SourceError` where it refuses."""
        missing = [cell.number for cell in self._cells if cell.number not in reading.channels]
        for cell in self._cells:
            if cell.number in reading.channels:
                self._set_up(cell)
        _log.info("the controller answers", action="shelf.linked", firmware=reading.firmware)
        if missing:
            _log.error("the planogram names channels that are not there", action="shelf.missing", channels=missing)
        self._complaint = None

    def _set_up(self, cell: Cell) -> None:
        """Write unit weight and tare where the planogram says otherwise."""
        registers = self._source.settings(cell.number)
        wanted = {Holding.UNIT_WEIGHT: round(cell.unit_weight_g * 10)}
        if cell.tare_g is not None:
            wanted[Holding.TARE] = cell.tare_g
        changed = {register: value for register, value in wanted.items() if register.unpack(registers) != value}
        for register, value in changed.items():
            self._source.write(cell.number, register, value)
            _log.info("set up", action="shelf.set_up", cell=cell.number, setting=register.meaning, value=value)
        cell.settled(self._source.settings(cell.number) if changed else registers)

    def _hear(self, faults: Fault, now: float) -> list[Draft]:
        """Log what the controller says of itself; after its reboot figures wait for a new plateau."""
        _log.warning("the controller reports", action="shelf.faults", faults=str(faults))
        rebooted = Fault.REBOOTED in faults and Fault.REBOOTED not in self._faults
        self._faults = faults
        if not rebooted:
            return []
        # It may have lost its settings.
        self._complaint = ""
        for cell in self._cells:
            cell.interrupt()
        return [draft for cell in self._cells for draft in cell.doubt("REBOOTED", now)]

    def _miss(self, error: SourceError, now: float) -> None:
        """Log the first failure of a series; after a while mark every figure as not to be believed."""
        if not self._complaint:
            _log.error(error.message, action="shelf.silent", advice=error.advice)
        self._complaint = error.message
        if now - self._answered_at > SILENT_SECONDS:
            drafts = [draft for cell in self._cells for draft in cell.doubt("SILENT", now)]
            climate, kinetic = self._watch(None, now)
            self._keep(drafts + climate, kinetic)


def run_agents(agents: Sequence[ShelfAgent], stop: threading.Event) -> None:
    """Run the agents of several controllers beside one another; one that is silent keeps none of the others."""
    others = [threading.Thread(target=agent.run, args=(stop,), name="shelf") for agent in agents[1:]]
    for thread in others:
        thread.start()
    try:
        agents[0].run(stop)
    finally:
        stop.set()
        for thread in others:
            thread.join()


def _kinetic(note: str | None) -> Kinetic | None:
    if note is None:
        return None
    try:
        return msgspec.json.decode(note, type=Kinetic)
    except msgspec.DecodeError:
        return None
