"""The uplink: publishes what the outbox holds until the application acknowledges it.

A broker's confirmation is no durability. Rows leave the window only on ingest's acknowledgement, which comes after
its commit; everything else is sent again.
"""

import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog

from contracts.errors import MessageError, OutboxError, OutboxFullError
from contracts.messages import Ack, Pause, Resend, Status, decode_ack, decode_command, encode_event, pack
from contracts.topics import Kind
from edge.backoff import Backoff
from edge.identity import Identity
from edge.outbox import Draft, Outbox, Row
from edge.outbox.outbox import now_ms
from edge.settings import AgentSettings
from edge.uplink.window import Window, messages
from edge.uplink.wire import LinkError, Received, Will, Wire, tls_context

STATUS_SECONDS: Final = 30.0
ROLL_CALL_SECONDS: Final = 1800.0
_STEP_SECONDS: Final = 0.5
_HANDSHAKE_SECONDS: Final = 10.0
_STEADY_SECONDS: Final = 10.0
_LONGEST_PAUSE_SECONDS: Final = 24 * 3600.0
_FIRST_WAIT_SECONDS: Final = 1.0
_LAST_WAIT_SECONDS: Final = 60.0
_NOTE_AGAIN_SECONDS: Final = 1.0
_MOST_ACKS: Final = 1000
_log = structlog.get_logger(__name__)


class Uplink:
    """One thread between an outbox and a broker. `on_end` is called when it ends, for whatever reason."""

    def __init__(self, settings: AgentSettings, outbox: Outbox, firmware: str, on_end: Callable[[], None]) -> None:
        self._settings = settings
        self._identity = Identity(settings.site, settings.device)
        self._outbox = outbox
        self._firmware = firmware
        self._on_end = on_end
        self._tls = tls_context(settings)
        self._window = Window()
        self._acks: deque[Ack] = deque(maxlen=_MOST_ACKS)
        self._note_at = float("-inf")
        self._backoff = Backoff(_FIRST_WAIT_SECONDS, _LAST_WAIT_SECONDS)
        self._stop = threading.Event()
        self._grace_ends = float("inf")
        self._paused_until = 0.0
        self._next_status = 0.0
        self._next_roll_call = 0.0
        self._live_after = 0
        self._online = False
        self._failed = False
        self._waker, self._waking = socket.socketpair()
        self._waker.settimeout(0)
        self._waking.settimeout(0)
        outbox.on_added(self._wake)
        self._thread = threading.Thread(target=self._run, name="uplink", daemon=True)

    @property
    def is_online(self) -> bool:
        """Whether the broker has granted a connection that still stands."""
        return self._online

    @property
    def is_paused(self) -> bool:
        """Whether the server has asked for silence."""
        return time.monotonic() < self._paused_until

    @property
    def has_failed(self) -> bool:
        """Whether the thread ended though nobody stopped it."""
        return self._failed

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def stop(self, grace_seconds: float) -> None:
        """Publish for at most `grace_seconds` more what is not acknowledged, take leave, and end."""
        self._grace_ends = time.monotonic() + grace_seconds
        self._stop.set()
        self._wake()
        self._thread.join()
        self._waker.close()
        self._waking.close()

    def _wake(self) -> None:
        try:
            self._waking.send(b"\0")
        except OSError:
            return  # awake already, or ended

    def _run(self) -> None:
        completed = False
        try:
            while not self._stop.is_set():
                self._connect_once()
                self._sit_out(self._backoff.wait())
            completed = True
        finally:
            self._online = False
            self._failed = not completed
            self._on_end()

    def _sit_out(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._stop.wait(min(left, _STEP_SECONDS)):
            self._report(time.monotonic())

    def _connect_once(self) -> None:
        """Connect, and serve the connection until it is lost or the agent stops."""
        wire = Wire(self._settings, self._will(), self._tls)
        opened = time.monotonic()
        try:
            wire.connect()
            self._serve(wire, opened)
        except OSError as error:
            where = f"{self._settings.broker_host}:{self._settings.broker_port}"
            _log.warning("no link to the broker", action="uplink.lost", broker=where, reason=str(error))
            if time.monotonic() - opened > _STEADY_SECONDS:
                self._backoff.reset()
        except OutboxError as error:
            _log.critical(error.message, action="uplink.held", advice=error.advice)
        finally:
            self._online = False
            self._window.disconnected(time.monotonic())
            wire.drop()

    def _serve(self, wire: Wire, opened: float) -> None:
        while not self._is_over():
            wire.step(_STEP_SECONDS, self._waker)
            self._drain_waker()
            if wire.is_open and not self._online:
                self._greet(wire)
            elif not wire.is_open and time.monotonic() - opened > _HANDSHAKE_SECONDS:
                raise LinkError("the broker does not answer")
            for message in wire.received():
                self._hear(message)
            for number in wire.confirmed():
                self._window.taken(number)
            self._settle(time.monotonic())
            if self._online:
                self._report(time.monotonic())
                self._call_roll(wire, time.monotonic())
                self._send(wire, time.monotonic())
        if wire.is_open:
            will = self._will()
            wire.publish(will.topic, will.payload)
            wire.close()

    def _is_over(self) -> bool:
        return self._stop.is_set() and (self._outbox.depth == 0 or time.monotonic() >= self._grace_ends)

    def _greet(self, wire: Wire) -> None:
        """Subscribe, say that the device is there, and let what comes from now on pass the backlog."""
        wire.subscribe([self._identity.acks, self._identity.commands])
        self._live_after = self._outbox.newest()
        self._next_status = 0.0
        self._online = True
        _log.info("linked to the broker", action="uplink.online", waiting=self._outbox.depth)

    def _report(self, now: float) -> None:
        if now < self._next_status:
            return
        self._next_status = now + STATUS_SECONDS
        at = now_ms()
        status = Status(state="online", ts=at, firmware=self._firmware, outbox_depth=self._outbox.depth)
        with suppress(OutboxFullError, OutboxError):  # the next one, in half a minute, says the same
            self._outbox.add([Draft(Kind.STATUS, encode_event(status), at, slot="status")])

    def _call_roll(self, wire: Wire, now: float) -> None:
        """Send the last event of each earlier start once more, though it is acknowledged.

        A server that was restored to an earlier day sees by it what it lacks of a start that nothing follows any more,
        and asks; any other one recognises it. It changes nothing in the outbox and may get lost: there is a next time.
        """
        if now < self._next_roll_call or self.is_paused:
            return
        self._next_roll_call = now + ROLL_CALL_SECONDS
        with suppress(OutboxError):
            for row in self._outbox.last_of_earlier_boots():
                wire.publish(self._identity.events(row.kind), pack(row.boot, row.seq, now_ms(), [row.body]))

    def _send(self, wire: Wire, now: float) -> None:
        """Publish what is overdue, then what is new, then the backlog, as far as the window has room."""
        if self.is_paused:
            return
        if self._window.stuck(now):
            raise LinkError("the broker does not confirm what it is sent")
        self._publish(wire, self._window.due(now), now)
        for after in (self._live_after, 0):
            if self._window.room > 0:
                rows = self._outbox.take(self._window.room, after=after, except_ids=self._window.ids)
                self._publish(wire, rows, now)

    def _publish(self, wire: Wire, rows: list[Row], now: float) -> None:
        for group in messages(rows):
            first = group[0]
            payload = pack(first.boot, first.seq, now_ms(), [row.body for row in group])
            number = wire.publish(self._identity.events(first.kind), payload)
            self._window.launched(group, number, now)

    def _hear(self, message: Received) -> None:
        """Act on what the server says; a message that breaks the contract is reported and otherwise ignored."""
        try:
            if message.topic == self._identity.acks:
                self._acks.append(decode_ack(message.payload))
            elif message.topic == self._identity.commands:
                command = decode_command(message.payload) if message.payload else Pause(until=0)
                self._obey(command)
        except MessageError as error:
            _log.warning("not understood", action="uplink.bad_message", topic=message.topic, reason=error.message)

    def _settle(self, now: float) -> None:
        """Note what was acknowledged; while the disk does not take it, try again every second."""
        if now < self._note_at:
            return
        try:
            while self._acks:
                self._note(self._acks[0])
                self._acks.popleft()
        except OutboxError:  # the outbox has logged why
            self._note_at = now + _NOTE_AGAIN_SECONDS

    def _note(self, ack: Ack) -> None:
        settled = self._outbox.settle(ack)
        self._window.landed(settled.ids)
        if settled.refused:
            reasons = sorted({refusal.reason for refusal in ack.refused})
            _log.error("the server refuses events", action="uplink.refused", count=settled.refused, reasons=reasons)

    def _obey(self, command: Resend | Pause) -> None:
        if isinstance(command, Resend):
            missing = self._outbox.reopen(command)
            asked = {"boot": command.boot, "first": command.first, "last": command.last}
            _log.info("asked to send again", action="uplink.resend", missing=missing, **asked)
            return
        seconds = min(max(command.until - now_ms(), 0) / 1000, _LONGEST_PAUSE_SECONDS)
        self._paused_until = time.monotonic() + seconds
        _log.info("asked to pause" if seconds else "may publish", action="uplink.pause", seconds=seconds)

    def _drain_waker(self) -> None:
        try:
            while self._waker.recv(4096):
                continue
        except BlockingIOError:
            return

    def _will(self) -> Will:
        offline = encode_event(Status(state="offline", firmware=self._firmware))
        payload = pack(self._outbox.boot, 0, now_ms(), [offline], in_sequence=False)
        return Will(self._identity.events(Kind.STATUS), payload)
