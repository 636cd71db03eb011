"""Builds and signs the manifest of a site from its open orders and from where custody says that units are."""

import hashlib
import secrets
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec

from contracts import manifest as wire
from contracts.manifest import Group, Head, OrderLine, Product, Reference, Standing, StationOrder, Supervisor
from trace_service.domain.events import LOGISTIC_PREFIX
from trace_service.keys import KeyWrapper
from trace_service.orders.model import Order
from trace_service.orders.queries import SQL
from trace_service.orders.service import find
from trace_service.signing import signing_key
from trace_service.store.connection import Connection

LIFETIME: Final = timedelta(hours=24)
_RENEWED: Final = timedelta(hours=12)
_KEPT: Final = 20
_WHY: Final = {"holding": "blocked", "recalling": "recalled", "decommissioning": "decommissioned",
               "destroying": "destroyed"}  # fmt: skip


class Issued(NamedTuple):
    """A signed manifest as it is served."""

    version: int
    issued_at: datetime
    body: bytes


class _Books(NamedTuple):
    """What a site's manifest says, before it has a version and a signature."""

    head: Head
    groups: list[Group]

    def digest(self) -> bytes:
        """Return the SHA-256 of what it says."""
        content = hashlib.sha256(msgspec.json.encode(self.head))
        content.update(repr(self.groups).encode())
        return content.digest()


def newest(connection: Connection, site: str) -> Issued | None:
    """Return the last manifest that was issued for a site."""
    row = connection.execute(SQL["newest_manifest"], {"site": site}).fetchone()
    return None if row is None else Issued(row.version, row.issued_at, bytes(row.body))


def issue(connection: Connection, keys: KeyWrapper, site: str) -> Issued:
    """Return the present manifest of a site: the last one while nothing has changed and it is not yet half over."""
    with connection.transaction():
        connection.execute(SQL["lock_manifest"], {"site": site})
        last = connection.execute(SQL["newest_manifest"], {"site": site}).fetchone()
        salt = wire.read_head(bytes(last.body)).salt if last else secrets.token_hex(16)
        books = _books(connection, site, salt)
        digest = books.digest()
        now = datetime.now(UTC)
        if last and bytes(last.content) == digest and last.expires_at - now > _RENEWED:
            return Issued(last.version, last.issued_at, bytes(last.body))
        key = signing_key(connection, keys)
        version = last.version + 1 if last else 1
        head = msgspec.structs.replace(
            books.head, version=version, issued_at=_ms(now), expires_at=_ms(now + LIFETIME), key=key.id
        )
        body = wire.write(head, books.groups, key.private)
        row = {"site": site, "version": version, "issued_at": now, "expires_at": now + LIFETIME}
        connection.execute(SQL["insert_manifest"], {**row, "content": digest, "body": body})
        connection.execute(SQL["prune_manifests"], {"site": site, "version": version - _KEPT})
        return Issued(version, now, body)


def since(connection: Connection, site: str, version: int, present: Issued) -> bytes:
    """Return what leads from an earlier version to the present one: a delta where that is smaller, else the whole."""
    row = connection.execute(SQL["manifest"], {"site": site, "version": version}).fetchone()
    if row is None:
        return present.body
    delta = wire.write_delta(bytes(row.body), present.body)
    return delta if len(delta) < len(present.body) else present.body


def _books(connection: Connection, site: str, salt: str) -> _Books:
    raw = bytes.fromhex(salt)
    tops = connection.execute(SQL["stock"], {"site": site}).fetchall()
    inside = connection.execute(SQL["contents"], {"units": [top.unit for top in tops]}).fetchall()
    orders = [find(connection, row.brand, row.id) for row in connection.execute(SQL["open_orders"], {"site": site})]
    gtins = {line.gtin for order in orders for line in order.lines}
    gtins |= {_gtin(unit) for unit in [*(top.unit for top in tops), *(row.child for row in inside)] if _is_item(unit)}
    rows = connection.execute(SQL["stocked_products"], {"gtins": sorted(gtins)}).fetchall()
    products = tuple(Product(*row) for row in rows)
    sorter = _Sorter(raw, {product.gtin: number for number, product in enumerate(products)})
    groups = sorter.groups(tops, inside)
    head = Head(
        site=site, version=1, issued_at=0, expires_at=0, key="", salt=salt, groups=0, items=0,
        products=products, orders=_orders(connection, orders), references=tuple(sorter.references),
        blocked=_blocked(connection, raw, sorter.known), supervisors=_supervisors(connection, site),
    )  # fmt: skip
    return _Books(head, groups)


class _Sorter:
    """Puts units into the groups of the manifest's format."""

    def __init__(self, salt: bytes, products: Mapping[str, int]) -> None:
        self._salt = salt
        self._products = products
        self.references: list[Reference] = []
        self._numbers: dict[Reference, int] = {}
        self.known: dict[str, int] = {}

    def groups(self, tops: Iterable[Any], inside: Iterable[Any]) -> list[Group]:
        """Return the groups of outermost units and what lies in them."""
        children: dict[str, list[str]] = defaultdict(list)
        for row in inside:
            children[row.parent].append(row.child)
        loose: dict[tuple[int, int, int, int], list[int]] = defaultdict(list)
        found: list[Group] = []
        for top in sorted(tops, key=lambda each: str(each.unit)):
            reference = self._reference(top)
            if _is_item(top.unit):
                code = self._hash(top.unit)
                loose[(code & 0xFF, self._product(top.unit), reference, top.standing)].append(code)
            else:
                found += self._container(top.unit, 0, (reference, top.standing), children)
        for (bucket, product, reference, standing), items in loose.items():
            found.append(Group(bucket, product, 0, reference, standing, tuple(sorted(items))))
        return sorted(found)

    def _container(
        self, unit: str, parent: int, state: tuple[int, int], children: Mapping[str, list[str]]
    ) -> list[Group]:
        code = self._hash(unit)
        items: dict[int, list[int]] = defaultdict(list)
        found = []
        for child in children.get(unit, ()):
            if _is_item(child):
                items[self._product(child)].append(self._hash(child))
            else:
                found += self._container(child, code, state, children)
        if not items:
            items[wire.NO_PRODUCT] = []
        return found + [Group(code, product, parent, *state, tuple(sorted(each))) for product, each in items.items()]

    def _hash(self, unit: str) -> int:
        code = self.known[unit] = wire.code_hash(self._salt, unit)
        return code

    def _product(self, unit: str) -> int:
        return self._products.get(_gtin(unit), wire.NO_PRODUCT)

    def _reference(self, top: Any) -> int:  # noqa: ANN401  a row's columns are known to the query alone
        if top.standing == Standing.ON_HAND:
            return wire.NO_REFERENCE
        moment = top.occurred_at.replace(minute=0, second=0, microsecond=0)  # one reference for what left together
        reference = Reference(top.shipment or "", top.dealer or "", _ms(moment))
        if reference not in self._numbers:
            self._numbers[reference] = len(self.references)
            self.references.append(reference)
        return self._numbers[reference]


def _orders(connection: Connection, orders: list[Order]) -> tuple[StationOrder, ...]:
    dealers = sorted({order.dealer for order in orders})
    territories = dict(connection.execute(SQL["territory_now"], {"dealers": dealers}).fetchall())
    return tuple(
        StationOrder(
            id=order.id, version=order.version, brand=order.brand, dealer=order.dealer, dealer_zh=order.dealer_zh,
            dealer_en=order.dealer_en, territory=territories.get(order.dealer, ""), channel=order.channel,
            due=order.due.isoformat() if order.due else "",
            lines=tuple(OrderLine(each.line, each.gtin, each.quantity, each.unit, each.items) for each in order.lines),
        )
        for order in orders
    )  # fmt: skip


def _blocked(connection: Connection, salt: bytes, known: Mapping[str, int]) -> dict[str, str]:
    """Return the units, and whole products, that must not move; of units only those that the site knows."""
    found: dict[str, str] = {}
    lots: list[tuple[str, str, str]] = []
    for row in connection.execute(SQL["held"]):
        why = row.reason or _WHY[row.biz_step]
        _, _, lot = row.unit.partition("/10/")
        if lot:
            lots.append((_gtin(row.unit), lot, why))
        elif row.unit in known or (row.unit.startswith("/01/") and not _is_item(row.unit)):
            found[wire.blocked_hash(wire.code_hash(salt, row.unit))] = why
    if lots:
        columns = dict(zip(("gtins", "lots", "held"), map(list, zip(*lots, strict=True)), strict=True))
        for row in connection.execute(SQL["units_of_lots"], columns):
            if row.unit in known:
                found.setdefault(wire.blocked_hash(known[row.unit]), row.held)
    return dict(sorted(found.items()))


def _supervisors(connection: Connection, site: str) -> tuple[Supervisor, ...]:
    rows = connection.execute(SQL["supervisors"], {"site": site})
    return tuple(Supervisor(row.id, row.name, row.salt.hex(), row.pin_hash.hex()) for row in rows)


def _is_item(unit: str) -> bool:
    return not unit.startswith(LOGISTIC_PREFIX) and "/21/" in unit


def _gtin(unit: str) -> str:
    return unit[4:18]


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
