"""What is made: products, pallets, cases, and the lots in which dealers order them."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from contracts.gs1 import check_digit
from contracts.tc20 import ALPHABET
from firmware_sim.world.arrays import Floats, Ints, Random, pick
from firmware_sim.world.network import Network
from firmware_sim.world.parameters import Nature, Request, new_years

_PREFIX: Final = "6912345"
_SERIAL: Final = 12
_LETTERS: Final = np.frombuffer(ALPHABET.encode(), np.uint8)
_PALLET_CASES: Final = 60
_LAST_ORDER: Final = 0.94
_CASES_A_LOT: Final = (2.9, 0.65)
_SIZES: Final = np.array([4, 6, 6, 6, 12])
_PRICES: Final = (88.0, 1499.0)


@dataclass(frozen=True, slots=True)
class Product:
    """A trade item: price in yuan."""

    gtin: str
    name: str
    items_per_case: int
    unit_price: float


@dataclass(slots=True)
class Goods:
    """Everything made. Lots are runs of cases of one product, ordered by one dealer; cases are runs of items."""

    products: list[Product]
    lot_dealer: Ints
    lot_product: Ints
    lot_day: Floats
    case_lot: Ints
    case_pallet: Ints
    case_first: Ints
    """The first item of each case, and at the end how many items there are."""
    multiplier: int
    offset: int

    @property
    def item_count(self) -> int:
        """How many items were made."""
        return int(self.case_first[-1])

    def codes(self, items: Ints) -> list[str]:
        """Return the canonical key of the label of each item; no two are alike and none can be guessed."""
        cases = np.searchsorted(self.case_first, items, side="right") - 1
        products = self.lot_product[self.case_lot[cases]]
        prefixes = [f"/01/{product.gtin}/21/" for product in self.products]
        return [
            prefixes[product] + serial
            for product, serial in zip(products.tolist(), serials(items, self.multiplier, self.offset), strict=True)
        ]

    def sscc(self, cases: Ints) -> list[str]:
        """Return the SSCC of each case."""
        return [_sscc(f"1{_PREFIX}{case:09}") for case in cases.tolist()]

    def pallet_sscc(self, pallets: Ints) -> list[str]:
        """Return the SSCC of each pallet."""
        return [_sscc(f"2{_PREFIX}{pallet:09}") for pallet in pallets.tolist()]


def serials(numbers: Ints, multiplier: int, offset: int) -> list[str]:
    """Return a serial for each number: an odd multiplier permutes the 60-bit numbers."""
    mixed = (numbers.astype(np.uint64) * np.uint64(multiplier) + np.uint64(offset)) & np.uint64(2**60 - 1)
    shifts = np.arange(_SERIAL, dtype=np.uint64) * np.uint64(5)
    letters = _LETTERS[((mixed[:, None] >> shifts) & np.uint64(31)).astype(np.int64)]
    text = np.ascontiguousarray(letters).view(f"S{_SERIAL}").ravel()
    return [serial.decode() for serial in text.tolist()]


def make_goods(
    network: Network, nature: Nature, request: Request, promoted: list[tuple[int, float]], random: Random
) -> Goods:
    """Return about as many items as were asked for; dealers in a promotion, from a day on, order more than usual."""
    products = _products(random)
    per_case = np.array([product.items_per_case for product in products])
    weights = np.array([dealer.weight for dealer in network.dealers])
    guess = int(request.item_count / 80) + 50
    sizes = np.maximum(2, random.lognormal(*_CASES_A_LOT, guess).round()).astype(np.int64)
    product = pick(random.dirichlet(np.full(len(products), 2.0)), guess, random)
    total = np.cumsum(sizes * per_case[product])
    lots = int(np.searchsorted(total, request.item_count)) + 1
    sizes, product = sizes[:lots], product[:lots]
    day, dealer = _days(nature, request.days, lots, random), pick(weights, lots, random)
    for promotion in promoted:
        extra = random.choice(lots, min(int(random.integers(3, 7)), lots), replace=False)
        dealer[extra], day[extra] = promotion[0], promotion[1] + random.uniform(0, 14.0, extra.size)
    order = np.argsort(day, kind="stable")
    case_lot = np.repeat(np.arange(sizes.size), sizes)
    first = np.concatenate([[0], np.cumsum(per_case[product[case_lot]])])
    return Goods(
        products=products,
        lot_dealer=dealer[order],
        lot_product=product,
        lot_day=day[order],
        case_lot=case_lot,
        case_pallet=_pallets(product, case_lot),
        case_first=first,
        multiplier=int(random.integers(2**58, 2**59)) * 2 + 1,
        offset=int(random.integers(2**59)),
    )


def _pallets(product: Ints, case_lot: Ints) -> Ints:
    """Fill pallets of one product in the order in which cases are made."""
    of_product = product[case_lot]
    pallets = np.zeros(case_lot.size, np.int64)
    used = 0
    for number in np.unique(of_product):
        cases = np.flatnonzero(of_product == number)
        pallets[cases] = used + np.arange(cases.size) // _PALLET_CASES
        used += cases.size // _PALLET_CASES + 1
    return np.unique(pallets, return_inverse=True)[1]


def _products(random: Random) -> list[Product]:
    found = []
    for number in range(int(random.integers(4, 9))):
        body = f"0{_PREFIX}{number + 1:05}"
        price = float(np.round(np.exp(random.uniform(*np.log(_PRICES))) / 10) * 10 - 1)
        found.append(Product(body + str(check_digit(body)), f"酒{number + 1}号", int(random.choice(_SIZES)), price))
    return found


def _days(nature: Nature, days: int, count: int, random: Random) -> Floats:
    """Orders come evenly, and more before the New Year."""
    day = np.arange(max(1, int(days * _LAST_ORDER)))
    before = np.max([(day < eve) * np.exp(-np.maximum(eve - day, 0) / 30.0) for eve in new_years(nature)], axis=0)
    return np.asarray(pick(1 + before, count, random) + random.random(count))


def _sscc(body: str) -> str:
    return body + str(check_digit(body))
