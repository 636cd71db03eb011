"""Lanes with a fixed cost for each trip: stores are grouped by region, and lanes that do not earn their trip are shut.

A trip's fixed cost ties all products together, which no programme per product can see. So a plan is made without it,
within regions; what each lane earns over all products is held against its fixed cost; the worst are shut, and the plan
is made again until every lane that is left pays.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from trace_service.replenishment.demand.kernel import Counts, Floats
from trace_service.replenishment.night.transfer import Goods, Moves, gain, solve

_LEAST_SHUT: Final = 0.34
_ROUNDS: Final = 12
_SWEEPS: Final = 20


@dataclass(frozen=True, slots=True)
class Plan:
    """Moves of every product, lanes in use, and the gain after freight and trips."""

    moves: tuple[Moves, ...]
    lanes: int
    gain: float


def regions(places: Floats, largest: int) -> Counts:
    """Return the region of each store, none much larger than `largest`: k-means from the farthest points.

    `places` has the shape (stores, 2), in any units in which distances make sense.
    """
    count = max(1, -(-len(places) // largest))
    centres = [places.mean(axis=0)]
    for _ in range(count - 1):
        centres.append(places[_distances(places, np.array(centres)).min(axis=1).argmax()])
    middle = np.array(centres)
    region: Counts = _distances(places, middle).argmin(axis=1)
    for _ in range(_SWEEPS):
        middle = np.array(
            [places[region == each].mean(axis=0) if (region == each).any() else middle[each] for each in range(count)]
        )
        moved = _distances(places, middle).argmin(axis=1)
        if np.array_equal(moved, region):
            break
        region = moved
    return region


def plan(products: Sequence[Goods], freight: Floats, trip: Floats, region: Counts | None = None) -> Plan:
    """Return moves for all products; `trip` is the fixed cost of a lane, of the shape of `freight`.

    With regions, lanes between two of them stay shut.
    """
    open_freight = freight.copy()
    if region is not None:
        open_freight[region[:, None] != region[None, :]] = np.inf
    best = Plan((), 0, 0.0)
    for _ in range(_ROUNDS):
        moves = tuple(solve(product, open_freight) for product in products)
        earned = _earned(products, moves, freight)
        used = earned > 0
        total = float(sum(each.gain for each in moves) - trip[used].sum())
        if total > best.gain:
            best = Plan(moves, int(used.sum()), total)
        losing = used & (earned < trip)
        if not losing.any():
            break
        # The worst third at once: what they carried may make the others pay.
        short = (earned - trip)[losing]
        bound = np.quantile(short, _LEAST_SHUT)
        open_freight[losing & (earned - trip <= bound)] = np.inf
    return best


def _earned(products: Sequence[Goods], moves: Sequence[Moves], freight: Floats) -> Floats:
    """Return what each lane earns: its share, by units, of its receivers' worth, less its freight."""
    found = np.zeros(freight.shape)
    for product, moved in zip(products, moves, strict=True):
        if not len(moved.units):
            continue
        given = np.bincount(moved.receiver, weights=moved.units, minlength=len(freight))
        width = np.arange(product.worth.shape[1])
        worth = np.where(width < given[:, None], product.worth, 0.0).sum(axis=1)
        share = moved.units / given[moved.receiver]
        net = share * worth[moved.receiver] - moved.units * freight[moved.sender, moved.receiver]
        np.add.at(found, (moved.sender, moved.receiver), net)
    return found


def value(products: Sequence[Goods], moves: Sequence[Moves], freight: Floats, trip: Floats) -> float:
    """Return what moves gain after freight and trips."""
    used = np.zeros(freight.shape, dtype=bool)
    for moved in moves:
        used[moved.sender, moved.receiver] = True
    gains = sum(gain(product, freight, moved) for product, moved in zip(products, moves, strict=True))
    return float(gains - trip[used].sum())


def _distances(places: Floats, centres: Floats) -> Floats:
    found: Floats = np.hypot(*(places[:, None] - centres[None]).transpose(2, 0, 1))
    return found
