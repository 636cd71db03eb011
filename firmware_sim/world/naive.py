"""The obvious rule, by which a world's difficulty is measured: three foreign cases in a province within a week."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from msgspec import Struct

from firmware_sim.world.arrays import Bools, Ints
from firmware_sim.world.consumers import Scans
from firmware_sim.world.country.geography import Land
from firmware_sim.world.fates import Attack

CASES: Final = 3
CORE: Final = ("drip", "bulk", "promo")
_WEEK: Final = 7.0


class Difficulty(Struct, frozen=True):
    """How the rule does; counts, so that worlds can be pooled."""

    alerts: int
    right: int
    core: int
    core_found: int
    large: int
    large_found: int
    honest_scans: int
    foreign_share: float
    small_attacks: int
    attacks: int

    @property
    def precision(self) -> float:
        """The share of the alerts that are right."""
        return self.right / max(self.alerts, 1)

    @property
    def recall(self) -> float:
        """The share of drips, bulks and promotions that are found."""
        return self.core_found / max(self.core, 1)


def measure(land: Land, scans: Scans, judged: tuple[Ints, Bools], attacks: Sequence[Attack]) -> Difficulty:
    """Apply the rule to all scans; `judged` is the entitled dealer of each and whether it was foreign."""
    dealer, foreign = judged
    provinces = land.province_of_city[scans.seen.city]
    chosen = foreign & (scans.case >= 0)
    rows = np.stack([dealer, provinces, (scans.day / _WEEK).astype(np.int64), scans.case], axis=1)[chosen]
    unique, first = np.unique(rows, axis=0, return_index=True)
    day = scans.day[chosen][first]
    groups, inverse, counts = np.unique(unique[:, :3], axis=0, return_inverse=True, return_counts=True)
    inverse = inverse.ravel()
    hits = [
        (int(groups[group][0]), int(groups[group][1]), float(np.sort(day[inverse == group])[CASES - 1]))
        for group in np.flatnonzero(counts >= CASES)
    ]
    found: set[str] = set()
    right = 0
    for hit in hits:
        matching = [attack.id for attack in attacks if _matches(attack, hit, land)]
        right += bool(matching)
        found.update(matching)
    scanned = _scanned(scans, len(attacks))
    core = [number for number, attack in enumerate(attacks) if attack.type in CORE]
    large = [number for number in core if scanned[number] >= CASES]
    honest = scans.attack < 0
    located = honest & scans.seen.located
    return Difficulty(
        alerts=len(hits),
        right=right,
        core=len(core),
        core_found=sum(attacks[number].id in found for number in core),
        large=len(large),
        large_found=sum(attacks[number].id in found for number in large),
        honest_scans=int(honest.sum()),
        foreign_share=round(float(foreign[located].mean()) if located.any() else 0.0, 4),
        small_attacks=int((scanned < CASES).sum()),
        attacks=len(attacks),
    )


def _matches(attack: Attack, hit: tuple[int, int, float], land: Land) -> bool:
    dealer, province, day = hit
    if attack.type in {"clone", "forged", "strip"} or day < attack.first_day:
        return False
    return dealer in attack.parties and province in land.province_of_city[attack.cities]


def _scanned(scans: Scans, attacks: int) -> Ints:
    rows = np.unique(np.stack([scans.attack, scans.item], axis=1)[scans.attack >= 0], axis=0)
    return np.bincount(rows[:, 0], minlength=attacks) if attacks else np.zeros(0, np.int64)
