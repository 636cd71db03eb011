import io
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from subprocess import Popen

import pytest
from conftest import TestBroker
from edge_parts import SITE, Application, drop_photo, keep, start_agent
from waiting import PATIENCE, wait_for

from cli.embedded.users import INGEST
from contracts import worksheet
from contracts.gs1 import check_digit, label_uri
from contracts.messages import Activity, Scan, Status, decode_event
from contracts.topics import Kind
from edge.decode import Code
from edge.outbox import Outbox
from edge.outbox.inspection import inspect
from edge.sources.source import Read
from edge.station import Station
from edge.station.display import Display
from edge.station.order import Order
from edge.station.verdict import Verdict

DEVICE = "station-x"
StartBroker = Callable[[Mapping[str, str]], TestBroker]


def item(number: int) -> str:
    return label_uri("id.example.com", "06901234567892", f"S{number:019d}")


def case(number: int) -> str:
    digits = f"0690123{number:010d}"
    return f"HTTPS://ID.EXAMPLE.COM/00/{digits}{check_digit(digits)}"


class Workplace:
    """A station's process beside a broker and an application."""

    def __init__(self, folder: Path, broker: TestBroker) -> None:
        self.folder, self.broker = folder, broker
        self.photos = folder / "in"
        self.photos.mkdir()
        self.process: Popen[bytes] | None = None
        self.application = Application(broker.port, broker.passwords[INGEST])

    def start(self, **settings: object) -> "Popen[bytes]":
        values = {
            "device": DEVICE,
            "site": SITE,
            "broker_port": self.broker.port,
            "broker_password": self.broker.passwords[DEVICE],
            "data": self.folder,
            "source": f"folder:{self.photos}",
            **settings,
        }
        self.process = start_agent("station", self.folder / "log", **values)
        return self.process

    def end(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def scans(self) -> list[Scan]:
        events = [decode_event(Kind.SCAN, raw) for raw in self.application.events(Kind.SCAN).values()]
        return [event for event in events if isinstance(event, Scan)]

    def done(self) -> int:
        return len(list((self.photos / "done").glob("*"))) if (self.photos / "done").is_dir() else 0

    def log(self) -> str:
        return (self.folder / "log").read_text()


@pytest.fixture
def workplace(tmp_path: Path, start_broker: StartBroker) -> Iterator[Workplace]:
    place = Workplace(tmp_path, start_broker({DEVICE: SITE}))
    yield place
    place.application.stop()
    if place.process and place.process.poll() is None:
        place.process.kill()
        place.process.wait()


def test_a_packed_case_and_a_shipped_one_reach_the_application(workplace: Workplace) -> None:
    workplace.start(activity="pack")
    drop_photo(workplace.photos, "pack", [case(1), item(1), item(2)])
    wait_for(lambda: len(workplace.scans()) == 2)
    for scan in workplace.scans():
        assert (scan.activity, scan.parent, len(scan.image)) == (Activity.PACK, case(1), 64)
    drop_photo(workplace.photos, "sheet", [worksheet.begin(Activity.SHIP, "SO-1", "D-CHENGDU")], sheets=True)
    wait_for(lambda: workplace.done() == 2)
    drop_photo(workplace.photos, "ship", [case(1)])
    wait_for(lambda: len(workplace.scans()) == 3)
    shipped = workplace.scans()[-1]
    assert (shipped.code, shipped.activity, shipped.reference, shipped.to) == (case(1), "ship", "SO-1", "D-CHENGDU")
    wait_for(lambda: workplace.done() == 3)
    assert workplace.end(signal.SIGTERM) == 0
    assert inspect(workplace.folder / "outbox.db").waiting == 0
    assert '"verdict": "OK"' in workplace.log()


def offline(workplace: Workplace) -> list[str]:
    """Return what was told out of sequence: last wills and farewells."""
    told = [each for each in workplace.application.of(Kind.STATUS) if each.header.count == 0]
    return [event.state for each in told for event in each.events if isinstance(event, Status)]


def online(workplace: Workplace) -> int:
    """Return how many starts were connected: each reports its state under an identity of its own."""
    return len({boot for boot, _ in workplace.application.events(Kind.STATUS)})


def test_sigkill_in_the_middle_of_a_burst_loses_and_doubles_nothing(workplace: Workplace) -> None:
    workplace.start()
    expected: Counter[str] = Counter()
    for number in range(40):
        drop_photo(workplace.photos, f"photo-{number:03d}", [item(2 * number), item(2 * number + 1)])
        expected.update([item(2 * number), item(2 * number + 1)])
        if number % 13 == 12:
            wait_for(lambda least=number // 3: workplace.done() > least)  # type: ignore[misc]
            # Only who was connected leaves a last will.
            wait_for(lambda starts=(number + 1) // 13: online(workplace) == starts)  # type: ignore[misc]
            workplace.end(signal.SIGKILL)
            workplace.start()
    wait_for(lambda: len(workplace.application.codes()) == 80)
    wait_for(lambda: workplace.done() == 40)
    assert workplace.end(signal.SIGTERM) == 0
    assert workplace.application.codes() == expected
    assert len({boot for boot, _ in workplace.application.events(Kind.SCAN)}) > 1
    wait_for(lambda: len(offline(workplace)) == 4)  # three last wills and one farewell
    time.sleep(0.5)
    assert offline(workplace) == ["offline"] * 4


def test_the_work_goes_on_without_a_broker_and_survives_a_restart(workplace: Workplace) -> None:
    workplace.broker.broker.stop()
    workplace.start()
    drop_photo(workplace.photos, "sheet", [worksheet.begin(Activity.RECEIVE, "SO-2")], sheets=True)
    wait_for(lambda: workplace.done() == 1)
    assert workplace.end(signal.SIGTERM) == 0
    workplace.start()
    drop_photo(workplace.photos, "case", [case(7)])
    wait_for(lambda: workplace.done() == 2)
    assert '"verdict": "PROVISIONAL"' in workplace.log()
    workplace.broker.broker.start()
    wait_for(lambda: workplace.application.codes() == Counter([case(7)]))
    assert workplace.scans()[0].reference == "SO-2"
    assert workplace.scans()[0].activity is Activity.RECEIVE


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"source": "folder:/nonexistent"}, "SOURCE_FAILED"),
        ({"source": "telepathy"}, "EDGE_SOURCE"),
        ({"device": "a/b"}, "EDGE_DEVICE"),
        ({"tls_ca": "/nonexistent.pem"}, "EDGE_TLS_CA"),
        ({"outbox_limit": 300}, "EDGE_OUTBOX_LIMIT"),
        ({"data": "/dev/null/here"}, "EDGE_DATA"),
    ],
)
def test_a_wrong_setting_is_named(workplace: Workplace, settings: dict[str, object], said: str) -> None:
    process = workplace.start(**settings)
    assert process.wait(PATIENCE) in {1, 2}
    assert said in workplace.log()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Bench:
    """A station without processes: what it is given, when it settled a read, and what was on disk then."""

    def __init__(self, outbox: Outbox, *, online: bool = True, repeat_seconds: float = PATIENCE) -> None:
        self.outbox = outbox
        self.stop = threading.Event()
        self.terminal = Terminal()
        self.settled: list[tuple[bool, int]] = []
        self.station = Station(
            outbox,
            Display(self.terminal),
            lambda: online,
            activity=Activity.OBSERVE,
            repeat_seconds=repeat_seconds,
        )

    def read(self, *texts: str, picture: bytes | None = None) -> list[Verdict]:
        codes = tuple(Code(text=text, symbology="QRCode", aim="]Q1", corners=(), stage="test") for text in texts)
        read = Read(codes, 1000, "test", picture, lambda accepted: self.settled.append((accepted, self.outbox.depth)))
        return self.station.take(read, self.stop)


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with Outbox(tmp_path / "outbox.db", limit=100) as outbox:
        yield outbox


class TestVerdicts:
    def test_the_beep_comes_after_the_commit(self, outbox: Outbox) -> None:
        bench = Bench(outbox)
        assert bench.read(item(1)) == [Verdict.OK]
        assert bench.settled == [(True, 1)], "the scan was in the outbox when the scanner was answered"

    def test_offline_is_provisional(self, outbox: Outbox) -> None:
        assert Bench(outbox, online=False).read(item(1)) == [Verdict.PROVISIONAL]

    def test_a_label_that_stays_in_view_is_one_scan(self, outbox: Outbox) -> None:
        bench = Bench(outbox)
        assert [bench.read(item(1))[0] for _ in range(5)] == [Verdict.OK] + [Verdict.DUPLICATE] * 4
        assert outbox.depth == 1
        assert bench.settled[1] == (False, 1)

    def test_the_same_label_later_is_another_scan(self, outbox: Outbox) -> None:
        bench = Bench(outbox, repeat_seconds=0.05)
        bench.read(item(1))
        time.sleep(0.1)
        assert bench.read(item(1)) == [Verdict.OK]
        assert outbox.depth == 2

    def test_the_same_picture_never_counts_twice(self, outbox: Outbox) -> None:
        assert Bench(outbox).read(item(1), item(2), picture=b"photo") == [Verdict.OK, Verdict.OK]
        again = Bench(outbox)
        assert again.read(item(1), item(2), picture=b"photo") == [Verdict.DUPLICATE] * 2
        assert again.read(item(1), picture=b"another photo") == [Verdict.DUPLICATE], "within the re-read window"
        assert outbox.depth == 2
        assert Bench(outbox).read(item(1), picture=b"another photo") == [Verdict.OK]

    def test_a_case_label_shown_later_still_packs(self, outbox: Outbox) -> None:
        bench = Bench(outbox)
        bench.read(worksheet.begin(Activity.PACK, "SO-1"))
        assert bench.read(item(1)) == [Verdict.NO_PARENT]
        assert bench.read(item(1), case(1)) == [Verdict.OK]
        assert bench.read(item(1), case(1)) == [Verdict.DUPLICATE]

    def test_unreadable_and_foreign(self, outbox: Outbox) -> None:
        bench = Bench(outbox)
        assert bench.read() == []
        assert bench.read("parcel 17") == [Verdict.UNKNOWN]
        assert outbox.depth == 0
        assert bench.read(case(1)[:-1] + "x") == [Verdict.UNKNOWN]
        assert outbox.depth == 1
        assert [accepted for accepted, _ in bench.settled] == [False, False, False]

    def test_an_order_outlives_the_station_and_an_end_ends_it(self, outbox: Outbox) -> None:
        assert Bench(outbox).read(worksheet.begin(Activity.SHIP, "SO-1", "D-1")) == [Verdict.ORDER]
        later = Bench(outbox)
        assert later.station.order == Order(Activity.SHIP, "SO-1", "D-1")
        assert later.read("CF/DANCE") == [Verdict.UNKNOWN]
        assert later.station.order.reference == "SO-1"
        assert later.read(worksheet.end()) == [Verdict.ORDER]
        assert later.station.order == Order(Activity.OBSERVE)

    def test_a_full_outbox_makes_the_scanner_wait_until_there_is_room(self, outbox: Outbox) -> None:
        keep(outbox, *map(str, range(100)))
        bench = Bench(outbox)
        threading.Timer(0.5, bench.stop.set).start()
        assert bench.read(item(1)) == [Verdict.REFUSED]
        assert bench.settled == [], "an unsettled picture stays where it is"
        assert outbox.depth == 100

    def test_the_terminal_shows_each_verdict_by_colour_and_shape_and_cannot_be_steered(self, outbox: Outbox) -> None:
        bench = Bench(outbox)
        bench.read(item(1))
        good = bench.terminal.getvalue()
        bench.read("parcel\x1b[2J")
        wrong = bench.terminal.getvalue().removeprefix(good)
        assert "✔ OK" in good
        assert "1 to send" in good
        assert "✘ UNKNOWN" in wrong
        assert "\x1b[2J" not in wrong
        assert "\n" not in good + wrong
