"""What a stranger is told about a code. Every reason for which it cannot be confirmed has one and the same answer."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from contracts.gs1 import CANONICAL_HOST, item_key, key_of
from contracts.tc20 import Profile, Tc20
from trace_service.codes.verify import Text, verify
from trace_service.domain.verification import CodeState
from trace_service.keys import KeyWrapper
from trace_service.processing.history import state_at
from trace_service.public.address import Address
from trace_service.public.queries import SQL
from trace_service.store.connection import Connection, one

# A gift, a family and a shop's curious staff are fewer; more than that is more than one thing with one code.
_MANY_VISITORS: Final = 20
_MANY_CITIES: Final = 3


class Answer(StrEnum):
    """The messages; the words are in the catalogues under `public.answer.…`."""

    FIRST = "first"
    AGAIN = "again"
    UNUSUAL = "unusual"
    RECALLED = "recalled"
    TRAINING = "training"
    UNVERIFIED = "unverified"
    PRODUCT = "product"
    LOGISTIC = "logistic"
    PLACE = "place"
    BUSY = "busy"


@dataclass(frozen=True, slots=True)
class Product:
    """What is said about a product: its names and its brand's."""

    brand: str
    name_zh: str
    name_en: str
    brand_zh: str
    brand_en: str


@dataclass(frozen=True, slots=True)
class Finding:
    """An answer; `first` and `city` (a division's code) tell of an earlier look at the same item."""

    answer: Answer
    product: Product | None = None
    first: datetime | None = None
    city: str | None = None


_UNVERIFIED: Final = Finding(Answer.UNVERIFIED)


def find_product(connection: Connection, gtin: str | None) -> Product | None:
    """Return a registered product."""
    row = connection.execute(SQL["product"], {"gtin": gtin}).fetchone() if gtin else None
    return Product(*row) if row else None


def examine(connection: Connection, keys: KeyWrapper, address: Address, visitor: bytes | None) -> Finding:
    """Return what to tell about a code; remember that `visitor` looked it up if it is a genuine item's."""
    # 1. Labels of boxes and places say nothing about a product.
    if address.key != "01":
        return Finding(Answer.LOGISTIC if address.key == "00" else Answer.PLACE)
    product = find_product(connection, address.value("01"))
    if product is None:
        return _UNVERIFIED
    # 2. A product's code alone is on every item of it.
    serial = address.value("21")
    if serial is None:
        lot = address.value("10")
        whole = key_of([("01", address.value("01") or ""), *([("10", lot)] if lot else [])])
        answer = Answer.RECALLED if _is_recalled(connection, product, whole) else Answer.PRODUCT
        return Finding(answer, product)
    # 3. Is the serial one that was issued for it, and put to use?
    text = Text(CANONICAL_HOST + item_key(address.value("01") or "", serial), "")
    code = verify(connection, keys, [text])[text]
    if code.state is CodeState.GENUINE:
        # 4. What is known about this one item?
        return _examine_item(connection, product, code.unit, visitor)
    # 5. Training labels are never goods, and yet no riddle to whoever practises with them.
    practice = _is_training(connection, keys, product, (code.gtin, serial))
    return Finding(Answer.TRAINING) if practice else _UNVERIFIED


def _is_training(connection: Connection, keys: KeyWrapper, product: Product, label: tuple[str, str]) -> bool:
    key = connection.execute(SQL["training_key"], {"brand": product.brand}).fetchone()
    if key is None:
        return False
    return Tc20(keys.unwrap(key.wrapped), product.brand, 0, Profile(key.profile)).verify(*label) is not None


def _is_recalled(connection: Connection, product: Product, unit: str) -> bool:
    return state_at(connection, product.brand, unit, datetime.now(UTC)).recalled is not None


def _examine_item(connection: Connection, product: Product, unit: str, visitor: bytes | None) -> Finding:
    parameters = {"unit": unit, "visitor": visitor or b"", "brand": product.brand}
    seen = one(connection, SQL["seen"], parameters)
    if visitor is not None:
        connection.execute(SQL["look_up"], parameters)
    if _is_recalled(connection, product, unit):
        return Finding(Answer.RECALLED, product)
    if seen.visitors >= _MANY_VISITORS or seen.cities >= _MANY_CITIES:
        return Finding(Answer.UNUSUAL, product)
    if seen.first is None:
        return Finding(Answer.FIRST, product)
    return Finding(Answer.AGAIN, product, seen.first, seen.city if seen.placed else None)
