"""Whether a code that nobody issued looks like one that was: a forgery does, a misread does not."""

from collections.abc import Sequence
from typing import Final

from trace_service.backtest.world import Item

_SAMPLE: Final = 4_000
ANY_PRODUCT: Final = "any"


class Forms:
    """The shapes of issued codes: for each length, which letters stand at which place."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._products = sorted({item.product for item in items if item.product})
        self._letters: dict[int, list[set[str]]] = {}
        for item in items[:: max(1, len(items) // _SAMPLE)]:
            places = self._letters.setdefault(len(item.code), [set() for _ in item.code])
            for place, letter in zip(places, item.code, strict=True):
                place.add(letter)

    def product(self, code: str) -> str | None:
        """Return the product that a code in the form of issued ones names, None where it has no such form."""
        places = self._letters.get(len(code))
        if places is None or any(letter not in place for letter, place in zip(code, places, strict=True)):
            return None
        return next((product for product in self._products if product in code), ANY_PRODUCT)
