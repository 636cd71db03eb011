"""A station at full equipment: a manifest of 100,000 codes, a hub on loopback, an order that is being loaded."""

import secrets
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from contracts import manifest as wire
from contracts import worksheet
from contracts.gs1 import item_key
from contracts.manifest import Group, Head, OrderLine, Product, Standing, StationOrder
from contracts.messages import Activity
from edge.code import Code
from edge.manifest import ManifestStore
from edge.sources.source import Read, now_ms
from edge.station import Station
from edge.station.desk import Desk
from edge.station.dock import Dock, Tools
from edge.station.hub import Hub
from edge.station.hub_server import Claims, HubServer

CODES: Final = 100_000
_PER_CASE: Final = 12
_SECRET: Final = b"a secret for one run"


@contextmanager
def equipped(station: Station, folder: Path, gtin: str, serials: Iterable[str]) -> Iterator[None]:
    """Equip a station so that it ships these loose items of one product, and have it begin."""
    key = Ed25519PrivateKey.generate()
    store = ManifestStore(folder, "dc", key.public_key(), now_ms)
    store.offer(_manifest(key, gtin, list(serials)))
    claims = Claims(folder / "hub.db")
    server = HubServer(("127.0.0.1", 0), _SECRET, claims)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    hub = Hub(("127.0.0.1", int(server.server_address[1])), _SECRET, "station-bench", lambda _claim, _answer: None)
    tools = Tools(store, key.public_key(), hub, enforce=True, clock=now_ms, refresh=lambda: None)
    station.equip(Desk(Dock(tools, {}), {}, lambda _news, _desk, _order: None), lambda _name, _picture: None)
    begin = Code(worksheet.begin(Activity.SHIP, "SO-1", "D-1"), "QRCode", "]Q1", (), "bench")
    station.take(Read((begin,), now_ms(), "bench"), threading.Event())
    try:
        yield
    finally:
        hub.close()
        server.shutdown()
        server.server_close()
        claims.close()


def _manifest(key: Ed25519PrivateKey, gtin: str, serials: list[str]) -> bytes:
    salt = secrets.token_bytes(16)
    groups = [
        Group(
            wire.code_hash(salt, f"/00/{number:018d}"),
            0,
            0,
            wire.NO_REFERENCE,
            Standing.ON_HAND,
            tuple(sorted(wire.code_hash(salt, f"{number}/{place}") for place in range(_PER_CASE))),
        )
        for number in range(CODES // _PER_CASE)
    ]
    loose = tuple(sorted(wire.code_hash(salt, item_key(gtin, serial)) for serial in serials))
    groups.append(Group(0, 0, 0, wire.NO_REFERENCE, Standing.ON_HAND, loose))
    order = StationOrder(
        "SO-1", 1, "bench", "D-1", "经销商", "Dealer", "", "retail", "",
        (OrderLine(1, gtin, len(serials), "item", len(serials)),),
    )  # fmt: skip
    head = Head(
        site="dc", version=1, issued_at=now_ms(), expires_at=now_ms() + 3_600_000, key="bench", salt=salt.hex(),
        groups=0, items=0, products=(Product(gtin, "酒", "Wine", _PER_CASE),), orders=(order,),
    )  # fmt: skip
    return wire.write(head, groups, key)
