"""A station at a desk without processes, and a manifest for it, for the tests of stations and of their screen."""

import io
import threading
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from contracts import manifest as wire
from contracts import worksheet
from contracts.gs1 import check_digit, item_key, label_uri
from contracts.manifest import (
    Group,
    Head,
    OrderLine,
    Product,
    Reference,
    Standing,
    StationOrder,
    Supervisor,
    code_hash,
    pin_hash,
)
from contracts.messages import Activity, Scan, decode_event
from contracts.stations import Note, NoteKind
from contracts.topics import Kind
from edge.decode import Code
from edge.manifest import ManifestStore
from edge.outbox import Outbox
from edge.sources.source import Read
from edge.station import Station
from edge.station.desk import Desk
from edge.station.display import Display
from edge.station.dock import NOTE, Dock, Tools
from edge.station.hub import Hub
from edge.station.verdict import Verdict

KEY = Ed25519PrivateKey.generate()
SALT = bytes(range(16))
WINE, BEER = "06901234567892", "06901234500004"
NOW = 1_790_000_000_000
SECRET = b"a secret of one site"


def sscc(number: int) -> str:
    digits = f"0690123{number:010d}"
    return f"/00/{digits}{check_digit(digits)}"


def case(number: int) -> str:
    return f"HTTPS://ID.EXAMPLE.COM{sscc(number)}"


def item(number: int, gtin: str = WINE) -> str:
    return label_uri("id.example.com", gtin, f"S{number:019d}")


def hashed(key: str) -> int:
    return code_hash(SALT, key)


def group(number: int, gtin: int = 0, standing: Standing = Standing.ON_HAND, reference: int = 0xFFFF) -> Group:
    """Return case `number` with six items, numbered from six times its own."""
    gtins = (WINE, BEER)
    items = sorted(hashed(item_key(gtins[gtin], f"S{each:019d}")) for each in range(6 * number, 6 * number + 6))
    return Group(hashed(sscc(number)), gtin, 0, reference, standing, tuple(items))


def manifest(version: int = 1, **changes: object) -> bytes:
    """Cases 1 to 9 of wine and 11 of beer on hand, 20 has left, 30 and 31 are on their way here."""
    order = StationOrder(
        "SO-1", 1, "acme", "D-1", "一号经销商", "Dealer one", "f" * 64, "retail", "2026-10-01",
        (OrderLine(1, WINE, 2, "case", 12), OrderLine(2, BEER, 6, "item", 6)),
    )  # fmt: skip
    other = msgspec.structs.replace(order, id="SO-2", dealer="D-2", lines=(OrderLine(1, WINE, 5, "case", 30),))
    head = Head(
        site="dc", version=version, issued_at=NOW, expires_at=NOW + 3_600_000, key="k", salt=SALT.hex(), groups=0,
        items=0, products=(Product(WINE, "酒", "Wine", 6), Product(BEER, "啤", "Beer", 6)), orders=(order, other),
        references=(Reference("SO-0", "D-9", NOW), Reference("SO-7", "D-1", NOW)),
        blocked={wire.blocked_hash(hashed(sscc(8))): "recalled"},
        supervisors=(Supervisor("LI", "李", "00" * 16, pin_hash("483920", bytes(16))),),
    )  # fmt: skip
    loose = Group(5, 1, 0, 0xFFFF, Standing.ON_HAND, (hashed(item_key(BEER, f"S{999:019d}")),))
    groups = [*(group(number) for number in range(1, 10)), group(11, 1), loose]
    groups += [group(20, standing=Standing.SHIPPED, reference=0)]
    groups += [group(number, standing=Standing.INBOUND, reference=1) for number in (30, 31)]
    return wire.write(msgspec.structs.replace(head, **changes), groups, KEY)


class Bench:
    """A station at a desk, without processes."""

    def __init__(self, folder: Path, outbox: Outbox, *, hub: Hub | None = None, **options: bool) -> None:
        self.now = NOW + 1000
        self.outbox = outbox
        self.news: list[Any] = []
        self.manifests = ManifestStore(folder, "dc", KEY.public_key(), lambda: self.now)
        self.manifests.load()
        if options.get("given", True) and not self.manifests.version:
            self.manifests.offer(manifest())
        tools = Tools(
            self.manifests, KEY.public_key(), hub, options.get("enforce", True), lambda: self.now, lambda: None
        )
        self.station = Station(
            outbox, Display(io.StringIO()), lambda: options.get("online", True), activity=Activity.OBSERVE,
            repeat_seconds=0,
        )  # fmt: skip
        noted = outbox.notes()
        self.desk = Desk(Dock(tools, noted), noted, lambda news, _desk, _order: self.news.append(news))
        self.station.equip(self.desk, lambda _name, _picture: None)

    def read(self, *texts: str, aim: str = "]Q1") -> Verdict:
        codes = tuple(Code(text=text, symbology="QRCode", aim=aim, corners=(), stage="test") for text in texts)
        verdicts = self.station.take(Read(codes, self.now, "test"), threading.Event())
        self.now += 1000
        return verdicts[-1]

    def begin(self, activity: Activity = Activity.SHIP, order: str = "SO-1", to: str = "D-1") -> None:
        assert self.read(worksheet.begin(activity, order, to)) is Verdict.ORDER

    def release(self, pin: str = "483920", reason: str = "checked by hand") -> None:
        self.station.act(lambda desk, order: desk.release(order, "LI", pin, reason), threading.Event())

    def sign(self, reason: str = "truck is full") -> None:
        idle = self.station.idle
        self.station.act(lambda desk, order: desk.sign(order, idle, ("li", "483920", reason)), threading.Event())

    @property
    def why(self) -> tuple[str, str]:
        return self.news[-1]["reason"], self.news[-1]["other"]

    def left(self) -> list[int]:
        return [line.left for line in self.desk.dock.lines(self.station.order)]

    def scans(self) -> list[Scan]:
        found = [decode_event(row.kind, row.body) for row in self.outbox.take(1000) if row.kind is Kind.SCAN]
        return [each for each in found if isinstance(each, Scan)]

    def notes(self, kind: NoteKind) -> list[Note]:
        noted = [value for name, value in self.outbox.notes().items() if name.startswith(NOTE)]
        found = [msgspec.json.decode(value, type=Note) for value in noted]
        return [each for each in found if each.kind is kind]
