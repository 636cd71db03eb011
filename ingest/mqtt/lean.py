"""The lean consumer: one socket, read and written in bulk by the worker's own thread."""

import time
from collections import deque
from collections.abc import Sequence
from typing import Final

from contracts.topics import event_filters, every_event_filter
from ingest.mqtt import wire
from ingest.mqtt.consumer import Account, Arrival, BrokerError
from ingest.mqtt.parser import Control, Parser
from ingest.mqtt.transport import Transport

_KEEPALIVE_SECONDS: Final = 60
# Half of it, so that a ping and its answer fit in before the broker gives up.
_PING_AFTER_SECONDS: Final = 30.0
_ANSWER_SECONDS: Final = 10.0
_CLOSE_SECONDS: Final = 1.0
# A broker that confirms none of so many acknowledgements is stuck; the packet ids end at 65,535.
_MOST_UNCONFIRMED: Final = 20_000


class LeanConsumer:
    """MQTT 3.1.1, QoS 1, persistent session, PUBACKs in one piece; see `ingest.mqtt.consumer.Consumer`.

    Acknowledgements that the broker did not confirm are sent again on the next connection.
    """

    def __init__(self, account: Account) -> None:
        self._account = account
        self._link = 0
        self._transport: Transport | None = None
        self._parser = Parser(0)
        self._inbox: deque[Arrival] = deque()
        self._answers: deque[Control] = deque()
        self._out = bytearray()
        self._unconfirmed: dict[int, bytes] = {}
        self._last_mid = 0
        self._sent_at = self._pinged_at = 0.0

    def connect(self) -> None:
        """Connect once and subscribe; return when the broker granted every subscription."""
        self._drop()
        self._link += 1
        self._parser = Parser(self._link)
        account = self._account
        self._transport = Transport(account.host, account.port, account.tls)
        self._send(wire.connect(account.client_id, account.user, account.password, _KEEPALIVE_SECONDS))
        flags, code = self._answer(wire.CONNACK)
        if code:
            raise self._lost(f"the broker refused the connection, code {code}", "Check user and password.")
        wanted = event_filters(account.partitions)
        if flags & 1:
            # The session may still subscribe to what this worker served before.
            self._send(wire.unsubscribe(self._take_mid(), sorted(every_event_filter() - set(wanted))))
            self._answer(wire.UNSUBACK)
        self._send(wire.subscribe(self._take_mid(), wanted))
        if wire.REFUSED in self._answer(wire.SUBACK)[2:]:
            raise self._lost(
                "the broker refused a subscription",
                "Let this user subscribe to the event topics; on NATS keep max_ack_pending below 65,536.",
            )
        self._out += b"".join(bytes((packet[0] | wire.DUP,)) + packet[1:] for packet in self._unconfirmed.values())

    def receive(self, limit: int, timeout: float) -> list[Arrival]:
        """Return what is at hand, at most `limit` messages; wait up to `timeout` seconds for the first."""
        deadline = time.monotonic() + timeout
        self._flush()
        while not self._read(limit):
            self._keep_alive()
            left = deadline - time.monotonic()
            if left <= 0:
                break
            self._open().wait(left, writing=bool(self._out))
            self._flush()
        inbox = self._inbox
        return [inbox.popleft() for _ in range(min(limit, len(inbox)))]

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish at QoS 1 without waiting for the broker's PUBACK; the next call of another method sends it."""
        self._open()
        if len(self._unconfirmed) >= _MOST_UNCONFIRMED:
            raise self._lost(f"the broker confirms none of {len(self._unconfirmed)} acknowledgements")
        mid = self._take_mid()
        packet = self._unconfirmed[mid] = wire.publish(mid, topic, payload)
        self._out += packet

    def settle(self, arrivals: Sequence[Arrival]) -> None:
        """Send the PUBACK of every message that came on the present connection."""
        self._open()
        mids = [arrival.mid for arrival in arrivals if arrival.link == self._link and arrival.mid]
        self._parser.unsettled.difference_update(mids)
        self._send(wire.pubacks(mids))

    def fileno(self) -> int:
        """Return the socket to wait for with others; `receive` takes what it has to give."""
        return self._open().fileno()

    def close(self) -> None:
        """Send what is still queued, for a second at most, and disconnect; the session stays."""
        if self._transport is None:
            return
        deadline = time.monotonic() + _CLOSE_SECONDS
        try:
            self._out += wire.DISCONNECT
            self._flush()
            while self._out and (left := deadline - time.monotonic()) > 0:
                self._transport.wait(left, writing=True)
                self._flush()
            self._transport.finish()
            # What lies unread when a socket closes makes the system reset it, and the last words are lost.
            while (left := deadline - time.monotonic()) > 0:
                if not self._transport.read():
                    self._transport.wait(left, writing=False)
        except BrokerError:
            pass  # the broker hung up, which is what was waited for
        finally:
            self._drop()

    def _read(self, limit: int) -> bool:
        """Take in what is at hand until there is enough; tell whether there is any message."""
        transport = self._open()
        while len(self._inbox) < limit and not self._answers:
            try:
                data = transport.read()
                if not data:
                    break
                arrivals, controls = self._parser.feed(data)
            except BrokerError:
                self._drop()
                raise
            self._pinged_at = 0.0
            self._inbox.extend(arrivals)
            for control in controls:
                self._control(control)
        return bool(self._inbox)

    def _control(self, control: Control) -> None:
        if control.kind == wire.PUBACK:
            self._unconfirmed.pop(int.from_bytes(control.body), None)
        elif control.kind != wire.PINGRESP:
            self._answers.append(control)

    def _answer(self, kind: int) -> bytes:
        """Wait for the answer to what was just asked; messages that come before it are kept."""
        deadline = time.monotonic() + _ANSWER_SECONDS
        while not self._answers:
            left = deadline - time.monotonic()
            if left <= 0:
                raise self._lost(f"no answer within {_ANSWER_SECONDS:g} s")
            self._open().wait(left, writing=bool(self._out))
            self._flush()
            self._read(len(self._inbox) + 1)
        answer = self._answers.popleft()
        if answer.kind != kind:
            raise self._lost(f"an answer of type {answer.kind:#04x} where {kind:#04x} was due")
        return answer.body

    def _keep_alive(self) -> None:
        now = time.monotonic()
        if self._pinged_at:
            if now - self._pinged_at > _ANSWER_SECONDS:
                raise self._lost("the broker does not answer a ping")
        elif now - self._sent_at > _PING_AFTER_SECONDS:
            self._pinged_at = now
            self._send(wire.PINGREQ)

    def _take_mid(self) -> int:
        while True:
            self._last_mid = self._last_mid % wire.LAST_MID + 1
            if self._last_mid not in self._unconfirmed:
                return self._last_mid

    def _send(self, packet: bytes) -> None:
        self._out += packet
        self._flush()

    def _flush(self) -> None:
        transport = self._open()
        if not self._out:
            return
        before = len(self._out)
        try:
            transport.write(self._out)
        except BrokerError:
            self._drop()
            raise
        if len(self._out) < before:
            self._sent_at = time.monotonic()

    def _open(self) -> Transport:
        if self._transport is None:
            raise BrokerError("the connection to the broker was lost")
        return self._transport

    def _lost(self, message: str, advice: str = "") -> BrokerError:
        self._drop()
        return BrokerError(message, advice=advice)

    def _drop(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None
        self._inbox.clear()
        self._answers.clear()
        self._out.clear()
        self._pinged_at = 0.0
