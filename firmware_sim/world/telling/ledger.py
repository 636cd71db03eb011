"""Events as lines of JSON, with the clocks, the delays and the doubles of real devices."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np

from firmware_sim.world.arrays import Floats, Ints, Random
from firmware_sim.world.parameters import DAY_MS, Nature, Request, start_ms

_ENCODER: Final = msgspec.json.Encoder()
_PROMPT_DAYS: Final = 3e-5
_WRONG_CLOCKS: Final = 0.004
_LOST_CLOCKS: Final = 0.03
"""Of the wrong clocks, those that know nothing at all: 1970, or years ahead."""
_OUTAGE_CHANCE: Final = 0.2
_OFFLINE_CHANCE: Final = 0.2
_LONGEST_GAP: Final = 6.0
_FAST_READERS: Final = 0.03
_ID_MASK: Final = (1 << 44) - 1


def iso(ms: Ints) -> list[str]:
    """Return moments as ISO 8601 with milliseconds and Z."""
    return [f"{text}Z" for text in np.datetime_as_string(ms.astype("datetime64[ms]"), unit="ms").tolist()]


@dataclass(frozen=True, slots=True)
class Gaps:
    """One entry a reader: days between which it loses what it reads, or keeps it; and how wrong its clock is."""

    outage: Floats
    offline: Floats
    clock: Floats

    @classmethod
    def drawn(cls, readers: int, days: int, random: Random) -> "Gaps":
        """Return gaps of some readers."""

        def windows(chance: float) -> Floats:
            begin = np.where(random.random(readers) < chance, random.uniform(0, days, readers), np.inf)
            return np.stack([begin, begin + random.uniform(0.5, _LONGEST_GAP, readers)], axis=1)

        wrong = random.random(readers) < _FAST_READERS
        return cls(
            windows(_OUTAGE_CHANCE), windows(_OFFLINE_CHANCE), np.where(wrong, random.normal(0, 1.0, readers), 0)
        )


class Ledger:
    """Collects events in any order and gives them back in the order of their arrival."""

    def __init__(self, request: Request, nature: Nature, random: Random) -> None:
        self._request, self._nature, self._random = request, nature, random
        self._start = start_ms(nature)
        self._lines: list[bytes] = []
        self._received: list[Ints] = []
        self._identity = (int(random.integers(1 << 42)) * 2 + 1, int(random.integers(1 << 43)))

    def __len__(self) -> int:
        return len(self._lines)

    def ids(self, count: int) -> list[str]:
        """Return the identities of the next `count` events; their order tells nothing."""
        multiplier, offset = self._identity
        first = len(self._lines)
        return [f"e{(number * multiplier + offset) & _ID_MASK:011x}" for number in range(first, first + count)]

    def ms(self, days: Floats) -> Ints:
        """Return moments, milliseconds since the epoch."""
        return self._start + np.round(days * DAY_MS).astype(np.int64)

    def add(self, lines: Sequence[bytes], received: Ints) -> None:
        """Take complete lines; a few arrive twice."""
        doubled = np.flatnonzero(self._random.random(len(lines)) < self._nature.duplicates)
        again = received[doubled] + self._random.integers(1000, DAY_MS, doubled.size)
        self._lines.extend(lines)
        for number, then, now in zip(doubled.tolist(), iso(received[doubled]), iso(again), strict=True):
            told = f'"received_at":"{then}"'.encode()
            self._lines.append(lines[number].replace(told, f'"received_at":"{now}"'.encode()))
        self._received.append(np.concatenate([received, again]))

    def tell(self, day: float, gaps: tuple[Gaps, int] | None, event: dict[str, object]) -> str | None:
        """Take one event of a reader and return its identity; None when the reader was out of order."""
        if day >= self._request.days:
            return None
        occurred = received = day
        if gaps is not None:
            table, reader = gaps
            if table.outage[reader, 0] <= day < table.outage[reader, 1]:
                return None
            if table.offline[reader, 0] <= day < table.offline[reader, 1]:
                received = float(table.offline[reader, 1])
            occurred += float(table.clock[reader])
        received += float(self._random.exponential(_PROMPT_DAYS))
        identity = self.ids(1)[0]
        moments = self.ms(np.array([occurred, received]))
        times = dict(zip(("occurred_at", "received_at"), iso(moments), strict=True))
        line = {"event_id": identity, "type": event["type"], **times, **{k: v for k, v in event.items() if k != "type"}}
        self.add([_ENCODER.encode(line)], moments[1:])
        return identity

    def phone_times(self, days: Floats) -> tuple[Ints, Ints]:
        """Return when phones say that they scanned, and when the news arrived, milliseconds."""
        random, size = self._random, days.size
        late = random.random(size) < self._nature.late_uploads
        delay = np.where(late, random.lognormal(-0.3, 1.2, size), random.exponential(_PROMPT_DAYS, size))
        wrong = random.random(size) < _WRONG_CLOCKS
        told = days + np.where(wrong, random.normal(0, 1.5, size), 0.0)
        occurred = self.ms(told)
        lost = wrong & (random.random(size) < _LOST_CLOCKS)
        occurred = np.where(lost, np.where(random.random(size) < 0.5, 0, occurred + 900 * DAY_MS), occurred)  # noqa: PLR2004 - half each
        return occurred, self.ms(days + delay)

    def in_order(self) -> Iterator[bytes]:
        """Yield all lines by the time of their arrival."""
        order = np.argsort(np.concatenate(self._received), kind="stable")
        for number in order.tolist():
            yield self._lines[number]
