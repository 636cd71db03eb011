"""Real work on an outbox while its writes are recorded, and what it confirms on the way."""

import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from edge_parts import keep, scan_draft
from recording_vfs import Recorder

from contracts import worksheet
from contracts.gs1 import label_uri
from contracts.messages import Ack, Activity, Refusal, Resend
from contracts.topics import Kind
from edge.decode import Code
from edge.outbox import Draft, Outbox
from edge.sources.source import Read
from edge.station import Station
from edge.station.display import Display

DAY_MS = 24 * 3600 * 1000
_CONTENT = """
SELECT boot.boot, event.seq, event.kind, event.body, event.state, event.reason
FROM event JOIN boot ON boot.id = event.boot_id
UNION ALL SELECT '', 0, 'captured', once, 0, NULL FROM captured
UNION ALL SELECT name, 0, 'note', value, 0, NULL FROM note
"""
Content = frozenset[tuple[object, ...]]


class Started(NamedTuple):
    """An outbox was opened under this number."""

    boot: str


class Confirmed(NamedTuple):
    """What the outbox held when a call had returned; `alone` where nobody else called meanwhile."""

    content: Content
    alone: bool = True


class Beep(NamedTuple):
    """A verdict was given for these texts."""

    texts: tuple[str, ...]


def content(outbox: Outbox) -> Content:
    return frozenset(outbox._database.execute(_CONTENT).fetchall())


def item(number: int) -> str:
    return label_uri("id.example.com", "06901234567892", f"S{number:019d}")


def reading(units: int) -> Draft:
    return Draft(Kind.STOCK, b'{"units":%d}' % units, units, slot="channel/1")


class Work:
    """A station and an uplink on the outbox at `path`; `pragma` changes how it writes."""

    def __init__(self, recorder: Recorder, path: Path, pragma: str = "", *, limit: int = 100) -> None:
        self._now = 1_000 * DAY_MS
        self._recorder = recorder
        self._path = path
        self._pragma = pragma
        self._limit = limit

    @contextmanager
    def _started(self) -> Iterator[Outbox]:
        with Outbox(self._path, limit=self._limit, clock=lambda: self._now) as outbox:
            # Small, so that the log is written back and begun anew many times in little work.
            outbox._database.execute("PRAGMA wal_autocheckpoint = 12")
            outbox._database.execute(self._pragma)
            self._recorder.mark(Started(outbox.boot))
            self._recorder.mark(Confirmed(content(outbox)))
            yield outbox

    def _do(self, outbox: Outbox, call: Callable[[], object]) -> None:
        call()
        self._recorder.mark(Confirmed(content(outbox)))

    def _scan(self, outbox: Outbox, text: str, picture: bytes | None = None) -> None:
        station = Station(outbox, Display(io.StringIO()), lambda: True, activity=Activity.OBSERVE, repeat_seconds=3)
        code = Code(text=text, symbology="QRCode", aim="]Q1", corners=(), stage="test")
        beep = Beep(() if worksheet.is_command(text) else (text,))
        read = Read((code,), self._now, "test", picture, lambda _accepted: self._recorder.mark(beep))
        self._do(outbox, lambda: station.take(read, threading.Event()))

    def _burst(self, outbox: Outbox) -> None:
        """Add pairs from several threads; a pair is there as a whole or not at all."""

        def add(name: int) -> None:
            for number in range(3):
                pair = tuple(f"burst-{name}-{number}-{half}" for half in "ab")
                outbox.add([scan_draft(text) for text in pair])
                self._recorder.mark(Beep(pair))

        crowd = [threading.Thread(target=add, args=(name,)) for name in range(4)]
        for thread in crowd:
            thread.start()
        for thread in crowd:
            thread.join()
        self._recorder.mark(Confirmed(content(outbox), alone=False))

    def scan_a_little(self) -> None:
        """One short start: three scans and an acknowledgement."""
        with self._started() as outbox:
            for number in range(20, 23):
                self._scan(outbox, item(number))
            self._do(outbox, lambda: outbox.settle(Ack(boot=outbox.boot, committed=((1, 2),))))

    def everything(self) -> None:
        """Two starts with all that an outbox does: scan, order, coalesce, settle, refuse, ask again, forget."""
        with self._started() as outbox:
            self._scan(outbox, worksheet.begin(Activity.SHIP, "SO-1", "D-1"))
            for number in range(6):
                self._scan(outbox, item(number), b"photo %d" % number)
            self._do(outbox, lambda: outbox.settle(Ack(boot=outbox.boot, committed=((1, 2), (4, 4)))))
            self._burst(outbox)
            refused = (Refusal(5, 5, "MESSAGE_INVALID"),)
            self._do(outbox, lambda: outbox.settle(Ack(boot=outbox.boot, committed=((6, 9),), refused=refused)))
            self._do(outbox, lambda: outbox.reopen(Resend(boot=outbox.boot, first=1, last=2)))
            self._do(outbox, lambda: outbox.reopen(Resend(boot="c" * 32, first=5, last=9)))
            self._read_the_shelf(outbox, range(4))
            self._do(outbox, lambda: keep(outbox, *(f"fill-{number}" for number in range(100 - outbox.depth))))
            self._read_the_shelf(outbox, range(4, 8))
            boot = outbox.boot
        self._now += 8 * DAY_MS
        with self._started() as outbox:
            self._do(outbox, lambda: outbox.settle(Ack(boot=boot, committed=((1, 90),))))
            self._scan(outbox, item(7), b"photo 7")
            self._scan(outbox, worksheet.end())

    def _read_the_shelf(self, outbox: Outbox, figures: range) -> None:
        for units in figures:
            self._do(outbox, partial(outbox.add, [reading(units)], {"channel/1": str(units)}))
