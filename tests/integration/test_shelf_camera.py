"""The agent of a shelf camera, on rendered pictures in real files and on a stream over HTTP that breaks."""

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import TestBroker
from edge_parts import SITE, Application, start_agent
from waiting import PATIENCE, wait_for

from cli.embedded.users import INGEST
from contracts.messages import Facings, Stock, decode_event
from contracts.topics import Kind
from edge.outbox import Outbox
from edge.shelf.camera import BLIND_SECONDS, HEARTBEAT_SECONDS, FacingAgent
from edge.shelf.facings import ShelfCamera, load_picture, load_slots
from edge.shelf.pictures import PictureFiles, PictureStream
from edge.sources.live import LiveCamera
from firmware_sim.shelves.pictures import Moment, Picture, Scene

A, B, C = "06901234567892", "06912345000017", "06912345000024"
ROWS = ((A, A, A, B, B, C), (C, C, B, B, A, A))
ALL = [True] * 12
StartBroker = Callable[[Mapping[str, str]], TestBroker]


class Eye:
    """A camera that writes the newest picture to a file, and the agent that looks at it; time is told."""

    def __init__(self, folder: Path, outbox: Outbox) -> None:
        self.folder = folder
        self.scene = Scene(ROWS, np.random.default_rng(5))
        self.now = time.monotonic()
        (folder / "slots.json").write_text(json.dumps(self.scene.slots()))
        save(folder / "full.png", self.scene.picture(ALL))
        save(folder / "empty.png", self.scene.picture([False] * 12))
        (folder / "shots").mkdir()
        self.outbox = outbox
        shelf = ShelfCamera(
            load_slots(folder / "slots.json"), load_picture(folder / "full.png"), load_picture(folder / "empty.png")
        )
        self.agent = FacingAgent(outbox, PictureFiles(folder / "shots"), shelf, 5.0)
        self._shots = 0

    def see(self, filled: list[bool], moment: Moment | None = None, swapped: dict[int, str] | None = None) -> None:
        self._shots += 1
        save(self.folder / "shots" / f"{self._shots:03}.jpg", self.scene.picture(filled, moment, swapped))
        self.wait(5)

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.agent.look(self.now)

    def told(self) -> list[Stock]:
        rows = [decode_event(row.kind, row.body) for row in self.outbox.take(999)]
        return [event for event in rows if isinstance(event, Stock)]

    def facings(self, gtin: str) -> Facings:
        found = [event.facings for event in self.told() if event.gtin == gtin]
        assert found[-1] is not None
        return found[-1]


def save(path: Path, picture: Picture) -> None:
    """Write as cameras should: under another name first."""
    fresh = path.with_name(f".{path.name}")
    fresh.write_bytes(cv2.imencode(path.suffix, picture)[1].tobytes())
    fresh.replace(path)


@pytest.fixture
def eye(tmp_path: Path) -> Iterator[Eye]:
    with Outbox(tmp_path / "outbox.db") as outbox:
        yield Eye(tmp_path, outbox)


def without(*gone: int) -> list[bool]:
    return [number not in gone for number in range(12)]


def test_facings_that_empty_are_told_once_in_any_light_and_a_heartbeat_after(eye: Eye) -> None:
    eye.see(ALL)
    first = {event.gtin: event for event in eye.told()}
    assert {gtin: event.units for gtin, event in first.items()} == {A: 5, B: 4, C: 3}
    assert first[A].facings is not None
    assert first[A].facings.share == pytest.approx(5 / 12, abs=0.001)
    for light, knock in ((0.5, (0, 0)), (1.5, (2, -3)), (0.8, (-4, 3))):
        eye.see(without(0, 1, 9), Moment(light, knock))
    assert eye.facings(A) == Facings(3, 2, 0, 0, pytest.approx(3 / 9, abs=0.001))
    assert eye.facings(B) == Facings(3, 1, 0, 0, pytest.approx(3 / 9, abs=0.001))
    before = len(eye.told())
    eye.see(without(0, 1, 9), Moment(1.1))
    assert len(eye.told()) == before, "nothing new, nothing told"
    eye.wait(HEARTBEAT_SECONDS)
    assert len(eye.told()) == before + 3


def test_an_arm_in_the_picture_changes_nothing_and_somebody_who_stays_makes_facings_unknown(eye: Eye) -> None:
    eye.see(ALL)
    before = len(eye.told())
    eye.see(ALL, Moment(person=(0.0, 0.4)))
    eye.see(ALL)
    assert len(eye.told()) == before
    for _ in range(3):
        eye.see(ALL, Moment(person=(0.0, 0.4)))
    hidden = eye.facings(A)
    assert (hidden.filled, hidden.empty, hidden.strange) == (3, 0, 0)
    assert hidden.unseen == 2


def test_a_product_in_anothers_facings_is_named_and_not_taken_for_a_gap(eye: Eye) -> None:
    eye.see(ALL)
    for _ in range(2):
        eye.see(ALL, Moment(1.2), {3: A, 4: A})
    assert eye.facings(B) == Facings(2, 0, 0, 2, pytest.approx(0.2, abs=0.001))


def test_a_camera_that_shows_nothing_new_is_not_believed_any_more(eye: Eye) -> None:
    eye.see(ALL)
    eye.wait(BLIND_SECONDS / 2)
    assert eye.told()[-1].fault == ""
    eye.wait(BLIND_SECONDS)
    assert {(event.fault, event.confidence) for event in eye.told()[-3:]} == {("UNSEEN", 0.0)}
    (eye.folder / "shots" / "broken.jpg").write_bytes(b"\xff\xd8 no picture")
    eye.wait(5)
    assert eye.told()[-1].fault == "UNSEEN"
    (eye.folder / "shots" / "broken.jpg").unlink()
    eye.see(ALL)
    assert {event.fault for event in eye.told()[-3:]} == {""}


class Streamer:
    """A camera that streams JPEG pictures over HTTP, and hangs up when told."""

    def __init__(self, picture: Picture) -> None:
        self.hang_up = threading.Event()
        data = cv2.imencode(".jpg", picture)[1].tobytes()
        hang_up = self.hang_up

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=part")
                self.end_headers()
                with suppress(OSError):
                    while not hang_up.is_set():
                        head = b"--part\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(data)
                        self.wfile.write(head + data + b"\r\n")
                        time.sleep(0.05)

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/stream.mjpg"

    def close(self) -> None:
        self.hang_up.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def test_a_live_camera_that_stops_sending_is_opened_again(eye: Eye) -> None:
    streamer = Streamer(eye.scene.picture(ALL))
    pictures = PictureStream(streamer.url)
    try:
        wait_for(lambda: pictures.newest() is not None)
        streamer.hang_up.set()
        wait_for(lambda: pictures.newest() is None)
        streamer.hang_up.clear()
        wait_for(lambda: pictures.newest() is not None)
    finally:
        streamer.hang_up.set()
        pictures.close()
        streamer.close()


def test_a_camera_that_never_was_there_is_looked_for_without_an_end() -> None:
    camera = LiveCamera("/dev/video97")
    assert [camera.take() for _ in range(3)] == [None] * 3


def test_the_command_publishes_what_the_camera_sees(tmp_path: Path, eye: Eye, start_broker: StartBroker) -> None:
    broker = start_broker({"camera-01": SITE})
    save(tmp_path / "shots" / "now.png", eye.scene.picture(without(11)))
    application = Application(broker.port, broker.passwords[INGEST])
    agent = start_agent(
        "camera",
        tmp_path / "log",
        device="camera-01",
        site=SITE,
        broker_port=broker.port,
        broker_password=broker.passwords["camera-01"],
        data=tmp_path / "agent",
        pictures=f"folder:{tmp_path / 'shots'}",
        slots=tmp_path / "slots.json",
        full=tmp_path / "full.png",
        empty=tmp_path / "empty.png",
        look_seconds=0.5,
    )
    try:
        wait_for(lambda: len(application.events(Kind.STOCK)) >= 3)
        agent.send_signal(signal.SIGTERM)
        assert agent.wait(PATIENCE) == 0
    finally:
        with suppress(ProcessLookupError):
            agent.kill()
        agent.wait()
        application.stop()
    events = [decode_event(Kind.STOCK, raw) for raw in application.events(Kind.STOCK).values()]
    found = {event.gtin: event.facings for event in events if isinstance(event, Stock)}
    assert found[A] == Facings(4, 1, 0, 0, pytest.approx(4 / 11, abs=0.001))
