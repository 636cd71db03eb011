"""A session for each partition, for brokers that cannot give one session several subscriptions: NATS.

NATS counts a session's unacknowledged messages over all its subscriptions but fills `max_ack_pending` for each, and
what exceeds it waits for `ack_wait`. Here every session has one subscription, so that the two counts are the same.
"""

import select
import time
from collections.abc import Sequence
from typing import Final

from contracts.topics import PARTITIONS, partition
from ingest.mqtt import LeanConsumer
from ingest.mqtt.consumer import Account, Arrival, BrokerError

_PARTITION_LEVEL: Final = 2


class PartitionedConsumer:
    """One lean consumer for each partition behind the interface of one; see `ingest.mqtt.consumer.Consumer`.

    The client ids are the account's with the partition behind it, so that workers may exchange partitions only while
    both stand still: a session stays with the worker that has made it.
    """

    def __init__(self, account: Account) -> None:
        self._sessions = {
            number: LeanConsumer(account._replace(client_id=f"{account.client_id}-p{number}", partitions=(number,)))
            for number in account.partitions
        }
        self._poll = select.poll()
        self._next = 0

    def connect(self) -> None:
        """Connect every session and subscribe; return when the broker granted every subscription."""
        self._poll = select.poll()
        for session in self._sessions.values():
            session.connect()
            self._poll.register(session.fileno(), select.POLLIN)

    def receive(self, limit: int, timeout: float) -> list[Arrival]:
        """Return what is at hand, at most `limit` messages; wait up to `timeout` seconds for the first."""
        deadline = time.monotonic() + timeout
        arrivals = self._at_hand(limit)
        while not arrivals and (left := deadline - time.monotonic()) > 0:
            self._poll.poll(left * 1000)
            arrivals = self._at_hand(limit)
        return arrivals

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish at QoS 1 on the session of the device that the topic ends with."""
        number = partition(topic.rpartition("/")[2])
        own = self._sessions.get(number) or next(iter(self._sessions.values()))
        own.publish(topic, payload)

    def settle(self, arrivals: Sequence[Arrival]) -> None:
        """Send the PUBACK of every message that came on the present connections."""
        shares: dict[int, list[Arrival]] = {}
        for arrival in arrivals:
            shares.setdefault(_partition_of(arrival.topic), []).append(arrival)
        for number, share in shares.items():
            self._sessions[number].settle(share)

    def close(self) -> None:
        """Send what is still queued and disconnect; the sessions stay."""
        for session in self._sessions.values():
            session.close()

    def _at_hand(self, limit: int) -> list[Arrival]:
        """Ask the sessions in turn, each time beginning with another, so that none starves the rest."""
        sessions = list(self._sessions.values())
        self._next = (self._next + 1) % len(sessions)
        arrivals: list[Arrival] = []
        for session in sessions[self._next :] + sessions[: self._next]:
            if len(arrivals) == limit:
                break
            arrivals += session.receive(limit - len(arrivals), 0)
        return arrivals


def _partition_of(topic: str) -> int:
    """Return the partition of whose session a message came, which its topic names whatever else is wrong with it."""
    number = topic.split("/")[_PARTITION_LEVEL].removeprefix("p")
    if not number.isascii() or not number.isdigit() or int(number) >= PARTITIONS:
        raise BrokerError(f"the broker sent {topic[:200]!r}, to which nobody has subscribed")
    return int(number)
