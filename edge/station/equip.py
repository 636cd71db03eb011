"""Gives a station its dock, its line to the trace service, its hub and its screen, as the settings say."""

import base64
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import msgspec
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from contracts.errors import CodeError, ConfigurationError
from contracts.stations import Note, NoteKind
from edge.code import Code
from edge.manifest import ManifestStore
from edge.outbox import Outbox
from edge.settings import StationSettings
from edge.sources.source import Read, now_ms
from edge.station.desk import Desk, key_in
from edge.station.dock import NOTE, Dock, Tools
from edge.station.evidence import Evidence
from edge.station.hub import Answer, Claim, Hub
from edge.station.kiosk import Kiosk, Screen
from edge.station.station import Station
from edge.station.sync import POLL_SECONDS, Line, Sync

_log = structlog.get_logger(__name__)
_BUTTONS: Final = {"undo": "CF/UNDO", "end": "CF/END", "pause": "CF/PAUSE"}


@contextmanager
def equipped(
    station: Station, settings: StationSettings, outbox: Outbox, is_online: Callable[[], bool], stop: threading.Event
) -> Iterator[None]:
    """Equip a station while the context lasts; without a manifest's key it stays as it is."""
    if not settings.manifest_key:
        yield
        return
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(settings.manifest_key))
    manifests = ManifestStore(settings.data, settings.site, key, now_ms)
    manifests.load()
    hub = _hub(settings, outbox)
    sync = Sync(_line(settings), manifests, outbox, lambda: _between(station, hub)) if settings.trace_url else None
    refresh = sync.refresh if sync else _nothing
    noted = outbox.notes()
    dock = Dock(Tools(manifests, key, hub, settings.enforce, now_ms, refresh), noted)
    screen = Screen(settings.site, settings.device, is_online, now_ms)
    desk = Desk(dock, noted, screen.tell)
    evidence = Evidence(settings.data / "evidence", settings.evidence_mb * 1_000_000)
    station.equip(desk, evidence.keep if settings.evidence_mb else _keep_nothing)
    station.between()
    kiosk = _kiosk(settings, screen, Buttons(station, stop)) if settings.kiosk_port else None
    ended = threading.Event()
    if sync:
        sync.start()
    else:
        threading.Thread(target=_watch, args=(manifests, station, hub, ended), name="manifest", daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        if kiosk:
            kiosk.stop()
        if sync:
            sync.stop()
        if hub:
            hub.close()


class Buttons:
    """What the screen's buttons do."""

    def __init__(self, station: Station, stop: threading.Event) -> None:
        self._station = station
        self._stop = stop

    def act(self, asked: Mapping[str, str]) -> str:
        """Carry one out and return the verdict; raises `CodeError` or `KeyError`."""
        what = asked["do"]
        if what == "key":
            return self._read(key_in(asked["code"]))
        if what in _BUTTONS:
            return self._read(Code(_BUTTONS[what], "screen", "", (), "screen"))
        signature = asked["supervisor"], asked["pin"], asked["reason"]
        if what == "release":
            return self._station.act(lambda desk, order: desk.release(order, *signature), self._stop).verdict
        if what == "sign":
            idle = self._station.idle
            return self._station.act(lambda desk, order: desk.sign(order, idle, signature), self._stop).verdict
        raise CodeError(f"there is no button {what[:20]!r}")

    def _read(self, code: Code) -> str:
        verdicts = self._station.take(Read((code,), now_ms(), "screen"), self._stop)
        return verdicts[0].value if verdicts else ""


def _kiosk(settings: StationSettings, screen: Screen, buttons: Buttons) -> Kiosk | None:
    """Return the screen's server, running; without its port the station works on without a screen."""
    try:
        kiosk = Kiosk(settings.kiosk_port, screen, buttons.act)
    except OSError as error:
        _log.critical("no screen: its port cannot be used", action="kiosk.failed", port=settings.kiosk_port,
                      reason=str(error), advice="Set another EDGE_KIOSK_PORT.")  # fmt: skip
        return None
    kiosk.start()
    return kiosk


def _line(settings: StationSettings) -> Line:
    if settings.trace_token is None:
        raise ConfigurationError("EDGE_TRACE_TOKEN is missing", advice="Make one: codefence orders token DEVICE")
    return Line(settings.trace_url, settings.trace_token.get_secret_value())


def _hub(settings: StationSettings, outbox: Outbox) -> Hub | None:
    if not settings.hub:
        return None
    if settings.hub_secret is None:
        raise ConfigurationError("EDGE_HUB_SECRET is missing", advice="Give every station of the site the hub's.")
    host, _, port = settings.hub.rpartition(":")

    def tell(claim: Claim, answer: Answer) -> None:
        detail = {"station": answer.station, "order": answer.order, "at": answer.at}
        fresh = secrets.token_hex(16)
        note = Note(id=fresh, at=now_ms(), kind=NoteKind.CONFLICT, order=claim.order, unit=claim.unit, detail=detail)
        outbox.add([], {NOTE + fresh: msgspec.json.encode(note).decode()})

    return Hub((host, int(port)), settings.hub_secret.get_secret_value().encode(), settings.device, tell)


def _between(station: Station, hub: Hub | None) -> None:
    if hub:
        hub.try_again()
    station.between()


def _watch(manifests: ManifestStore, station: Station, hub: Hub | None, ended: threading.Event) -> None:
    """Without an address a manifest comes as a file, put in place of the old one by hand."""
    while not ended.wait(POLL_SECONDS):
        manifests.reload()
        _between(station, hub)


def _nothing() -> None:
    """Without an address there is nobody to ask."""


def _keep_nothing(_name: str, _picture: bytes) -> None:
    """Pictures are not wanted here."""
