"""Whether a code that nobody issued looks like one that was: a forgery does, a misread does not."""

import string
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import Final

import numpy as np

from trace_service.backtest.world import Item

_SAMPLE: Final = 4_000
_NEIGHBOURS: Final = 200
_DENSE: Final = 0.02
_LONGEST: Final = 64
_CAPITALS: Final = string.digits + string.ascii_uppercase
ANY_PRODUCT: Final = "any"
_MARK: Final = "\0"
# A place that holds so many letters is a serial's: a forger does not know which of the others are never printed.
_MANY: Final = 16
_LOOK_ALIKE: Final = str.maketrans("OILU", "011V")


class Forms:
    """The shapes of issued codes: for each length, which letters stand at which place beside the product's number."""

    def __init__(self, items: Sequence[Item], issued: Container[str] = (), products: Iterable[str] = ()) -> None:
        self._products = sorted({item.product for item in items if item.product}.union(products), key=len, reverse=True)
        self._issued = issued
        self._sample = [item.code for item in _some(items, _NEIGHBOURS)]
        self._sparse: bool | None = None
        self._letters: dict[int, list[set[str]]] = {}
        for item in _some(items, _SAMPLE):
            _, code = self._split(item.code)
            places = self._letters.setdefault(len(code), [set() for _ in code])
            for place, letter in zip(places, code, strict=True):
                place.add(letter)
        for places in self._letters.values():
            for place in places:
                if len(place) >= _MANY:
                    place.update(_CAPITALS if all(letter in _CAPITALS for letter in place) else "")
        self._alphabet = sorted({letter for places in self._letters.values() for place in places for letter in place})

    def product(self, code: str) -> str | None:
        """Return the product that a code in the form of issued ones names, None where it has no such form."""
        product, rest = self._split(code)
        places = self._letters.get(len(rest))
        if places is None or any(letter not in place for letter, place in zip(rest, places, strict=True)):
            return None
        return product or ANY_PRODUCT

    def _split(self, code: str) -> tuple[str | None, str]:
        """Return the product that a code names, and the code with a mark in its place."""
        product = next((each for each in self._products if each in code), None)
        return product, code if product is None else code.replace(product, _MARK, 1)

    def misread(self, code: str) -> bool:
        """Whether one wrong, missing or additional letter makes an unknown code of an issued one.

        Where serials are numbered one after another, neighbours are issued anyway: then this says nothing of any code.
        """
        if len(code) > _LONGEST or not self._slip(code):
            return False
        if self._sparse is None:
            alike = sum(self._slip(each) for each in self._sample)
            self._sparse = alike <= _DENSE * len(self._sample)
        return self._sparse

    def _slip(self, code: str) -> bool:
        return any(other != code and other in self._issued for other in self._slips(code))

    def _slips(self, code: str) -> Iterator[str]:
        yield code.translate(_LOOK_ALIKE)
        for place in range(len(code) + 1):
            head, tail = code[:place], code[place:]
            yield head + tail[1:]
            for letter in self._alphabet:
                yield head + letter + tail[1:]
                yield head + letter + tail


def _some(items: Sequence[Item], number: int) -> Sequence[Item]:
    """Return some items drawn by lot, always the same: of serials that count up, every tenth ends in the same digit."""
    if len(items) <= number:
        return items
    drawn = np.random.default_rng(0).choice(len(items), number, replace=False)
    return [items[index] for index in drawn.tolist()]
