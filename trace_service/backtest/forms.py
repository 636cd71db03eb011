"""Whether a code that nobody issued looks like one that was: a forgery does, a misread does not."""

from collections.abc import Iterable

from trace_service.backtest.world import Item


class Forms:
    """The shapes of issued codes: the lengths of each product's."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._shapes: set[tuple[str, int]] = set()
        self._products: set[str] = set()
        for item in items:
            self._products.add(item.product)
            self._shapes.add((item.product, len(item.code)))

    def product(self, code: str) -> str | None:
        """Return the product that a code names in the form of issued ones, None where it has no such form."""
        for product in sorted(self._products):
            if product and product in code and (product, len(code)) in self._shapes:
                return product
        return None
