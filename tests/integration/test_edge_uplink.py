import socket
import ssl
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from conftest import TestBroker
from edge_parts import SITE, Application, keep
from waiting import PATIENCE, wait_for

from cli.embedded.users import INGEST
from contracts.errors import ConfigurationError
from contracts.messages import Ack, Pause, Resend, Status, encode_ack
from contracts.topics import Kind, ack_topic
from edge.outbox import Outbox
from edge.outbox.inspection import inspect
from edge.outbox.outbox import now_ms
from edge.settings import AgentSettings
from edge.uplink import Uplink

DEVICE = "station-x"
StartBroker = Callable[[Mapping[str, str]], TestBroker]


@dataclass
class Link:
    """A device's outbox and uplink beside a broker and an application."""

    folder: Path
    broker: TestBroker
    ended: threading.Event = field(default_factory=threading.Event)

    def settings(self, **changes: object) -> AgentSettings:
        values = {
            "device": DEVICE,
            "site": SITE,
            "broker_port": self.broker.port,
            "broker_password": self.broker.passwords[DEVICE],
            "data": self.folder,
            **changes,
        }
        return AgentSettings.model_validate(values)

    @contextmanager
    def outbox(self) -> Iterator[Outbox]:
        with Outbox(self.folder / "outbox.db") as outbox:
            yield outbox

    @contextmanager
    def running(self, outbox: Outbox, *, grace: float = 3, **changes: object) -> Iterator[Uplink]:
        uplink = Uplink(self.settings(**changes), outbox, "1.2", self.ended.set)
        uplink.start()
        try:
            yield uplink
        finally:
            uplink.stop(grace)

    @contextmanager
    def application(self, *, answers: bool = True) -> Iterator[Application]:
        application = Application(self.broker.port, self.broker.passwords[INGEST], answers=answers)
        yield application
        application.stop()


@pytest.fixture
def link(tmp_path: Path, start_broker: StartBroker) -> Link:
    return Link(tmp_path, start_broker({DEVICE: SITE}))


def names(count: int, prefix: str = "code") -> list[str]:
    return [f"{prefix}-{number}" for number in range(count)]


def make_authority(folder: Path) -> tuple[Path, Path]:
    """Return the key and the certificate of an authority that is also the broker's own."""
    key, certificate = folder / "ca.key", folder / "ca.pem"
    options = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"]
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        ["openssl", "req", "-x509", *options, "-keyout", key, "-out", certificate, *subject],
        check=True,
        capture_output=True,
    )
    return key, certificate


def out(application: Application) -> int:
    """Return how many events the application has seen, whatever their kind."""
    return sum(len(application.events(kind)) for kind in Kind)


def test_everything_kept_while_the_broker_was_down_arrives_once_it_is_back(link: Link) -> None:
    link.broker.broker.stop()
    with link.outbox() as outbox, link.running(outbox) as uplink:
        keep(outbox, *names(300))
        time.sleep(0.5)
        assert not uplink.is_online
        keep(outbox, *names(30, "later"))
        link.broker.broker.start()
        with link.application() as application:
            wait_for(lambda: outbox.depth == 0)
            assert application.codes() == Counter([*names(300), *names(30, "later")])
            sizes = [message.header.count for message in application.of(Kind.SCAN)]
            assert max(sizes) == 50, "a backlog travels in arrays"


def test_at_most_100_events_are_out_until_the_application_acknowledges(link: Link) -> None:
    with link.application(answers=False) as application, link.outbox() as outbox:
        keep(outbox, *names(250))
        with link.running(outbox, grace=0):
            wait_for(lambda: out(application) == 100)
            time.sleep(1)
            assert out(application) == 100
            application.acknowledge(application.of(Kind.SCAN)[0])
            wait_for(lambda: out(application) == 150)
            time.sleep(0.5)
            assert out(application) == 150


def test_what_the_broker_took_and_the_application_did_not_acknowledge_is_sent_again_unchanged(
    link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.uplink.window.RESEND_SECONDS", 0.5)
    with link.application(answers=False) as application, link.outbox() as outbox:
        keep(outbox, *names(10))
        with link.running(outbox, grace=0) as uplink:
            wait_for(lambda: len(application.of(Kind.SCAN)) >= 3)
            assert uplink.is_online, "the broker confirms, so that the connection stays"
            assert application.codes() == Counter(names(10))
            assert outbox.depth >= 10
            application.answers = True
            wait_for(lambda: outbox.depth == 0)
            assert application.codes() == Counter(names(10))


def test_what_is_scanned_now_passes_the_backlog(link: Link) -> None:
    with link.application(answers=False) as application, link.outbox() as outbox:
        keep(outbox, *names(1000))
        with link.running(outbox, grace=0):
            wait_for(lambda: out(application) == 100)
            keep(outbox, "now")
            application.acknowledge(application.of(Kind.SCAN)[0])
            wait_for(lambda: "now" in application.codes())
            assert len(application.codes()) <= 150


def test_a_refusal_is_kept_as_a_tombstone_and_does_not_hold_up_the_rest(link: Link) -> None:
    with link.application() as application, link.outbox() as outbox, link.running(outbox):
        application.refuse = {"code-7": "MESSAGE_INVALID"}
        keep(outbox, *names(20))
        wait_for(lambda: outbox.depth == 0)
        found = inspect(link.folder / "outbox.db")
        assert [(each.kind, each.reason) for each in found.tombstones] == [("scan", "MESSAGE_INVALID")]
        assert "code-7" in found.tombstones[0].body


def test_a_retained_pause_stops_a_device_that_connects_later_until_it_is_lifted(link: Link) -> None:
    with link.application() as application, link.outbox() as outbox:
        application.command(DEVICE, Pause(until=now_ms() + 600_000), retain=True)
        with link.running(outbox) as uplink:
            wait_for(lambda: uplink.is_paused)
            keep(outbox, *names(10))
            time.sleep(1)
            assert application.events(Kind.SCAN) == {}
            application.command(DEVICE, Pause(until=0), retain=True)
            wait_for(lambda: outbox.depth == 0)
            assert application.codes() == Counter(names(10))


def test_a_pause_ends_by_itself(link: Link) -> None:
    with link.application() as application, link.outbox() as outbox, link.running(outbox) as uplink:
        wait_for(lambda: uplink.is_online and outbox.depth == 0)
        until = now_ms() + 3000
        application.command(DEVICE, Pause(until=until))
        wait_for(lambda: uplink.is_paused or now_ms() > until)
        keep(outbox, "after the pause")
        wait_for(application.codes)
        assert application.of(Kind.SCAN)[0].header.sent_at >= until


def test_a_range_that_the_server_asks_for_is_sent_again(link: Link) -> None:
    with link.application() as application, link.outbox() as outbox, link.running(outbox):
        keep(outbox, *names(10))
        wait_for(lambda: outbox.depth == 0)
        sequence = sorted(seq for boot, seq in application.events(Kind.SCAN) if boot == outbox.boot)
        application.messages.clear()
        application.command(DEVICE, Resend(boot=outbox.boot, first=sequence[2], last=sequence[4]))
        wait_for(lambda: len(application.events(Kind.SCAN)) == 3)
        wait_for(lambda: outbox.depth == 0)


def test_a_range_that_is_gone_is_declared_dropped(link: Link) -> None:
    lost = "d" * 32
    with link.application() as application, link.outbox() as outbox, link.running(outbox) as uplink:
        wait_for(lambda: uplink.is_online)
        application.command(DEVICE, Resend(boot=lost, first=3, last=8))
        wait_for(lambda: (lost, 3) in application.events(Kind.STATUS))
        [status] = [each.events[0] for each in application.messages if each.header.boot == lost]
        assert isinstance(status, Status)
        assert status.dropped == ((3, 8),)
        wait_for(lambda: outbox.depth == 0)


def test_nonsense_from_the_server_is_survived(link: Link) -> None:
    with link.application() as application, link.outbox() as outbox, link.running(outbox) as uplink:
        wait_for(lambda: uplink.is_online)
        for payload in (b"", b"\xff\xfe", b"[]", b"{", b'{"boot": "' + b"a" * 32 + b'", "committed": [[1]]}'):
            application.send(ack_topic(SITE, DEVICE), payload)
            application.send(f"v1/{SITE}/cmd/{DEVICE}", payload)
        huge = Ack(boot=outbox.boot, committed=((1, 2**62 + 1),))
        application.send(ack_topic(SITE, DEVICE), encode_ack(huge))
        keep(outbox, "still alive")
        wait_for(lambda: application.codes()["still alive"] == 1 and outbox.depth == 0)
        assert not link.ended.is_set()


def test_a_broker_that_is_killed_costs_nothing_and_doubles_nothing(link: Link) -> None:
    with link.application() as application, link.outbox() as outbox, link.running(outbox):
        keep(outbox, *names(50))
        wait_for(lambda: outbox.depth == 0)
        process = link.broker.broker.process
        assert process is not None
        process.kill()
        keep(outbox, *names(80, "meanwhile"))
        wait_for(lambda: process.exit_code is not None)
        link.broker.broker.start()
        wait_for(lambda: outbox.depth == 0)
        assert application.codes() == Counter([*names(50), *names(80, "meanwhile")])


def test_the_status_tells_online_with_depth_and_offline_after_a_clean_end(link: Link) -> None:
    with link.application() as application, link.outbox() as outbox:
        with link.running(outbox) as uplink:
            wait_for(lambda: uplink.is_online and application.of(Kind.STATUS))
            status = application.of(Kind.STATUS)[0].events[0]
            assert isinstance(status, Status)
            assert (status.state, status.firmware) == ("online", "1.2")
        wait_for(lambda: application.of(Kind.STATUS)[-1].header.count == 0)
        last = application.of(Kind.STATUS)[-1].events[0]
        assert isinstance(last, Status)
        assert last.state == "offline"


def test_a_wrong_password_never_gets_through_and_loses_nothing(link: Link) -> None:
    with link.outbox() as outbox:
        with link.running(outbox, grace=0, broker_password="wrong") as uplink:
            keep(outbox, "kept")
            time.sleep(1.5)
            assert not uplink.is_online
        with link.application() as application, link.running(outbox):
            wait_for(lambda: application.codes()["kept"] == 1 and outbox.depth == 0)


def test_a_peer_that_is_no_broker_is_left_after_a_while(link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.uplink.uplink._HANDSHAKE_SECONDS", 0.5)
    with (
        socket.create_server(("127.0.0.1", 0)) as mute,
        link.outbox() as outbox,
        link.running(outbox, grace=0, broker_port=mute.getsockname()[1]) as uplink,
    ):
        mute.settimeout(PATIENCE)
        for _ in range(2):
            mute.accept()[0].close()
        assert not uplink.is_online


def test_the_link_can_be_encrypted_with_a_private_authority(link: Link) -> None:
    key, certificate = make_authority(link.folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as server, link.application() as application, link.outbox() as outbox:
        threading.Thread(target=_terminate_tls, args=(server, context, link.broker.port), daemon=True).start()
        with link.running(outbox, broker_port=server.getsockname()[1], tls_ca=certificate):
            keep(outbox, *names(120))
            wait_for(lambda: outbox.depth == 0)
            assert application.codes() == Counter(names(120))


# paho leaves the socket of a failed handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_encrypted_link_never_falls_back_to_plain_text(link: Link) -> None:
    _, certificate = make_authority(link.folder)
    with link.outbox() as outbox, link.running(outbox, grace=0, tls_ca=certificate) as uplink:
        time.sleep(1.5)
        assert not uplink.is_online


def test_unusable_certificates_are_named_at_the_start(link: Link) -> None:
    with link.outbox() as outbox, pytest.raises(ConfigurationError, match="TLS files"):
        Uplink(link.settings(tls_ca=link.folder / "missing.pem"), outbox, "1", link.ended.set)


def _terminate_tls(server: socket.socket, context: ssl.SSLContext, port: int) -> None:
    """Decrypt one connection and pass it on to the broker."""
    connection, _ = server.accept()
    with (
        context.wrap_socket(connection, server_side=True) as outside,
        socket.create_connection(("127.0.0.1", port)) as inside,
    ):
        threading.Thread(target=_pump, args=(inside, outside), daemon=True).start()
        _pump(outside, inside)


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return
