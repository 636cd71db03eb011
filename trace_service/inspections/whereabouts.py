"""Where goods really stand in a generated world: read to measure inspections, never by a detector."""

from collections import defaultdict
from pathlib import Path
from typing import Final

import numpy as np
from msgspec import Struct

from trace_service.backtest.errors import WorldError
from trace_service.backtest.tables import find, rows
from trace_service.detection.network import FloatArray, Network

_COLUMNS: Final = ("code", "case", "shop", "lat", "lon", "adcode", "since", "until")


class Shelf(Struct, frozen=True):
    """What stood in one shop of a city, in the order of the file: codes, cases, and between which moments."""

    shop: str
    lat: float
    lon: float
    adcode: str
    codes: tuple[str, ...]
    cases: tuple[str, ...]
    since: FloatArray
    until: FloatArray

    def there(self, now: int) -> list[int]:
        """Return which of them are there at a moment (milliseconds)."""
        found: list[int] = np.flatnonzero((self.since <= now) & (now < self.until)).tolist()
        return found


class Whereabouts:
    """The shops of each city and what stands in them."""

    def __init__(self, folder: Path, network: Network) -> None:
        """Read a world folder. Raises WorldError where it does not say where goods stand."""
        if find(folder, "whereabouts.csv") is None:
            raise WorldError(
                f"{folder} has no whereabouts.csv", advice="Write it with: codefence world generate --whereabouts"
            )
        kept: dict[tuple[str, float, float, str], list[tuple[str, str, int, int]]] = defaultdict(list)
        for row in rows(folder, "whereabouts.csv", _COLUMNS, lambda _: None):
            shop = row.text("shop"), row.number("lat"), row.number("lon"), row.text("adcode")
            kept[shop].append((row.text("code"), row.text("case"), row.moment("since"), row.moment("until")))
        self.cities: dict[str, list[Shelf]] = defaultdict(list)
        for shop, goods in sorted(kept.items()):
            city = network.city(shop[3])
            if city is not None:
                self.cities[city].append(_shelf(shop, goods))


def _shelf(shop: tuple[str, float, float, str], goods: list[tuple[str, str, int, int]]) -> Shelf:
    codes, cases, since, until = zip(*goods, strict=True)
    return Shelf(*shop, codes, cases, np.array(since, np.float64), np.array(until, np.float64))
