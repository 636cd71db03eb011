"""Decides, purely, what a batch adds to what is already known, and what to answer every device.

A sequence number's past is the content that is stored under it, the reason it was refused for, or both. Nothing known
of it means that it is new; so does a number that the device itself gave up, should it arrive after all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from contracts.errors import ContentMismatchError
from contracts.messages import Ack, Refusal, Status
from contracts.topics import Kind
from ingest.landing.decode import Decoded, Fault, Item
from ingest.landing.ranges import Range, merge, subtract


class Key(NamedTuple):
    """The identity of an event; `device` is empty where the topic named none."""

    device: str
    boot: str
    seq: int


_Stream = tuple[str, str]


class Past(NamedTuple):
    """What became of a key: the stored event's content hash, and why something under this key was refused."""

    content: int | None
    reason: str | None


class Address(NamedTuple):
    """Where an acknowledgement goes: one boot of a device at the site where it says it is."""

    site: str
    device: str
    boot: str


@dataclass(slots=True)
class Reply:
    """The answer to one boot of a device, as it grows."""

    committed: list[Range] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)

    def ack(self, boot: str) -> Ack:
        """Return the acknowledgement with neighbouring ranges merged.

        No number is in it twice: where one came with two contents, what is committed counts.
        """
        told = merge(self.committed)
        committed = tuple(told)
        refused = []
        for reason in dict.fromkeys(refusal.reason for refusal in self.refused):
            ranges = subtract(((r.first, r.last) for r in self.refused if r.reason == reason), told)
            refused += [Refusal(first, last, reason) for first, last in ranges]
            told = merge(told + ranges)
        return Ack(boot=boot, committed=committed, refused=tuple(refused))


@dataclass(slots=True)
class Plan:
    """What one transaction writes and what is answered after it."""

    new: list[tuple[Decoded, Sequence[Item]]] = field(default_factory=list)
    letters: list[tuple[Decoded, Fault]] = field(default_factory=list)
    received: dict[tuple[str, str], list[Range]] = field(default_factory=dict)
    replies: dict[Address, Reply] = field(default_factory=dict)
    duplicates: int = 0


@dataclass(slots=True)
class _Run:
    """One sequence in a batch for as long as it only ever goes up: what came is new without looking at each number."""

    committed: list[Range]
    received: list[Range]
    messages: list[Decoded] = field(default_factory=list)
    highest: int = 0


class Planner:
    """Goes through a batch in order of arrival; `history` holds the past of every key that was received before."""

    def __init__(self, history: Mapping[Key, Past], *, replay: bool = False) -> None:
        self._past = dict(history)
        self._replay = replay
        self._runs: dict[_Stream, _Run | None] = {(key.device, key.boot): None for key in history}
        self.plan = Plan()

    def add(self, message: Decoded, *, registered: bool) -> None:
        """Take one message; one whose device is not `registered` is kept as dead letters and never answered."""
        if not registered or not self._goes_up(message):
            self._weigh(message, registered=registered)

    def _goes_up(self, message: Decoded) -> bool:
        """Take the next message of a sequence that only goes up; tell whether it was one."""
        first, last = message.first, message.last
        if first is None or last is None:
            return False
        stream = (message.device, message.boot)
        run = self._runs.get(stream) or self._begin(message, stream)
        if run is None:
            return False
        if first <= run.highest or message.faults or message.kind is Kind.STATUS or self._replay:
            self._stop(stream, run)
            return False
        self.plan.new.append((message, message.items))
        run.messages.append(message)
        for ranges in (run.committed, run.received):
            if ranges and ranges[-1][1] + 1 == first:
                ranges[-1] = (ranges[-1][0], last)
            else:
                ranges.append((first, last))
        run.highest = last
        return True

    def _begin(self, message: Decoded, stream: _Stream) -> _Run | None:
        """Return a run, unless the sequence is looked at number by number already or has to be from now on."""
        if stream in self._runs or message.faults:
            self._runs[stream] = None
            return None
        committed = self.plan.replies.setdefault(Address(message.site, *stream), Reply()).committed
        run = self._runs[stream] = _Run(committed, self.plan.received.setdefault(stream, []))
        return run

    def _stop(self, stream: _Stream, run: _Run) -> None:
        """From now on look at each number of this sequence."""
        self._runs[stream] = None
        for message in run.messages:
            for item in message.items:
                self._past[Key(*stream, item.seq)] = Past(item.content, None)

    def _weigh(self, message: Decoded, *, registered: bool) -> None:
        """Take a message number by number."""
        reply = Reply()
        fresh = [item for item in message.items if self._item(message, item, reply)]
        if fresh:
            self.plan.new.append((message, fresh))
        for fault in message.faults:
            self._fault(message, fault, reply)
        if registered and message.first is not None:
            self._answer(message, fresh, reply)

    def _item(self, message: Decoded, item: Item, reply: Reply) -> bool:
        """Note what becomes of one event; tell whether it is to be stored."""
        key = Key(message.device, message.boot, item.seq)
        past = self._past.get(key)
        if past is None or (self._replay and past.content is None):
            self._past[key] = Past(item.content, None)
            reply.committed.append((item.seq, item.seq))
            return True
        if past.content == item.content:
            self.plan.duplicates += 1
            reply.committed.append((item.seq, item.seq))
        elif past.reason is not None and not self._replay:
            self.plan.duplicates += 1
            reply.refused.append(Refusal(item.seq, item.seq, past.reason))
        else:
            detail = "this sequence number was committed with other content"
            reason = ContentMismatchError.code
            self.plan.letters.append((message, Fault(item.seq, item.seq, reason, detail, message.alone(item))))
            self._past[key] = Past(past.content, reason)
            reply.refused.append(Refusal(item.seq, item.seq, reason))
        return False

    def _fault(self, message: Decoded, fault: Fault, reply: Reply) -> None:
        if fault.first is None or fault.last is None:
            self.plan.letters.append((message, fault))
            return
        fresh = False
        for seq in range(fault.first, fault.last + 1):
            key = Key(message.device, message.boot, seq)
            past = self._past.get(key)
            if past is None:
                fresh = True
                past = self._past[key] = Past(None, fault.reason)
            else:
                self.plan.duplicates += 1
            if past.reason is None:
                # A damaged copy of what is stored: the sender may forget its own.
                reply.committed.append((seq, seq))
            else:
                reply.refused.append(Refusal(seq, seq, past.reason))
        if fresh or self._replay:
            self.plan.letters.append((message, fault))

    def _answer(self, message: Decoded, fresh: list[Item], reply: Reply) -> None:
        address = Address(message.site, message.device, message.boot)
        whole = self.plan.replies.setdefault(address, Reply())
        whole.committed += merge(reply.committed)
        whole.refused += reply.refused
        received = self.plan.received.setdefault((message.device, message.boot), [])
        received += whole_range(message)
        received += [gap for item in fresh if isinstance(item.event, Status) for gap in item.event.dropped]


def whole_range(message: Decoded) -> list[Range]:
    """Return the numbers that a message accounts for: one range, or none for a message outside every sequence."""
    return [(message.first, message.last)] if message.first is not None and message.last is not None else []
