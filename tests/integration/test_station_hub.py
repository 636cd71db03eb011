"""The hub of a site: no two stations load one unit, with or without the server."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from station_bench import SECRET, Bench, case, hashed, sscc
from waiting import PATIENCE, wait_for

from edge.outbox import Outbox
from edge.station.hub import Answer, Claim, Hub
from edge.station.hub_server import Claims, HubServer
from edge.station.verdict import Verdict

STATIONS = 128


class Site:
    """A hub and benches that reach it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self.conflicts: list[tuple[Claim, Answer]] = []
        self.hubs: list[Hub] = []
        self.start()

    def start(self) -> None:
        self.claims = Claims(self.folder / "hub.db")
        self.server = HubServer(("127.0.0.1", self.port), SECRET, self.claims)
        self.port = int(self.server.server_address[1])
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.claims.close()
        for hub in self.hubs:
            hub.close()

    def hub(self, station: str, secret: bytes = SECRET) -> Hub:
        told = self.conflicts
        address = ("127.0.0.1", self.port)
        hub = Hub(address, secret, station, lambda claim, answer: told.append((claim, answer)), patience=PATIENCE)
        self.hubs.append(hub)
        return hub


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path / "hub")
    yield site
    site.stop()


@pytest.fixture
def benches(tmp_path: Path, site: Site) -> Iterator[Callable[[str], Bench]]:
    opened: list[Outbox] = []

    def make(name: str) -> Bench:
        outbox = Outbox(tmp_path / name / "outbox.db")
        opened.append(outbox)
        return Bench(tmp_path / name, outbox, hub=site.hub(name), online=False)

    yield make
    for outbox in opened:
        outbox.close()


class TestHub:
    def test_strangers_who_hold_connections_open_are_limited_and_make_room_when_they_go(self, site: Site) -> None:
        strangers = [socket.create_connection(("127.0.0.1", site.port)) for _ in range(STATIONS)]
        with socket.create_connection(("127.0.0.1", site.port)) as one_too_many:
            one_too_many.settimeout(PATIENCE)
            assert not one_too_many.recv(1), "closed at once"
        for stranger in strangers:
            stranger.close()
        wait_for(lambda: site.hub("s-1").claim(Claim("SO-1", sscc(1), 7, ())))

    def test_two_stations_never_load_the_same_case_while_the_server_is_away(
        self, benches: Callable[[str], Bench]
    ) -> None:
        first, second = benches("s-1"), benches("s-2")
        first.begin()
        second.begin(order="SO-2", to="D-2")
        assert first.read(case(1)) is Verdict.OK, "the hub has confirmed it, so it holds without the server"
        assert second.read(case(1)) is Verdict.ALREADY_SHIPPED
        assert second.why == ("at_station", "s-1 · SO-1")
        second.release()
        first.read("CF/UNDO")
        assert second.read(case(1)) is Verdict.OK

    def test_without_the_hub_it_is_provisional_and_what_was_loaded_twice_is_told_later(
        self, site: Site, benches: Callable[[str], Bench]
    ) -> None:
        first, second = benches("s-1"), benches("s-2")
        first.begin()
        second.begin(order="SO-2", to="D-2")
        first.read(case(1))
        site.stop()
        assert second.read(case(1)) is Verdict.PROVISIONAL
        assert second.why[0] == "hub_away"
        site.start()
        for hub in site.hubs:
            hub._away_until = 0.0
        assert second.read(case(2)) is Verdict.OK
        [(claim, answer)] = site.conflicts
        assert (claim.unit, answer.station, answer.order) == (sscc(1), "s-1", "SO-1")

    def test_nobody_without_the_sites_secret_claims_or_answers(self, site: Site) -> None:
        claim = Claim("SO-1", sscc(1), hashed(sscc(1)), ())
        assert site.hub("thief", b"another secret").claim(claim) is None
        assert site.hub("s-1").claim(claim) == Answer(granted=True)


def test_the_hub_runs_by_itself_and_remembers_over_a_restart(tmp_path: Path) -> None:
    environment = {
        "PATH": os.defpath,
        "EDGE_DATA": str(tmp_path),
        "EDGE_HUB_SECRET": SECRET.decode(),
        "EDGE_HUB_PORT": "0",
    }
    command = [str(Path(sys.executable).with_name("codefence")), "edge", "hub"]
    claim = Claim("SO-1", sscc(1), hashed(sscc(1)), ())
    answers = []
    for station in ("s-1", "s-2"):
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            port = int(process.stderr.readline().rsplit(":", 1)[1])
            hub = Hub(("127.0.0.1", port), SECRET, station, lambda _claim, _answer: None, patience=PATIENCE)
            answer = hub.claim(claim)
            assert answer is not None
            answers.append(answer)
            hub.close()
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
    assert [answer.granted for answer in answers] == [True, False]
    assert (answers[1].station, answers[1].order) == ("s-1", "SO-1")
