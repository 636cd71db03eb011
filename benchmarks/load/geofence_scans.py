"""Scans judged in batches: verdicts, probabilities, a year of them against a new version, and the stored index."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.frame import Progress
from benchmarks.load.geofence_data import Array, Scenery, near_towns
from benchmarks.load.geofence_points import rate, size
from geofence.evidence import GpsEvidence, Platform
from geofence.finding import DEFAULT_POLICY
from geofence.geometry.metric import metres_per_degree
from geofence.grid.counties import open_index
from geofence.maps import AtomMap, Level, load_installed_map
from geofence.proposed.recheck import recheck
from geofence.territory import Query, TerritoryBook, TerritoryVersion
from geofence.verdicts.check import check, check_many
from geofence.verdicts.columns import NONE, Indexes, Scans, microseconds
from geofence.verdicts.judging import OFF_MAP_WEIGHT, judge

YEAR: Final = 30_000_000
DEALERS: Final = 300
_START: Final = datetime(2025, 1, 1, tzinfo=UTC)
# A year of scans is rechecked a part at a time, all parts alike, so that a small machine can hold them.
_TURNS: Final = 10
_BATCH: Final = 250
_BATCHES: Final = 40
_BORDER_SIGMA: Final = 0.002
_REFERENCE: Final = 1_000_000
_THRESHOLD_DISCS: Final = 30
_SAMPLE: Final = 200_000
_DAY: Final = 86_400_000_000


def measured(data: Scenery, progress: Progress) -> dict[str, float]:
    """Return what judging, rechecking and opening the index take, CPU time of one core."""
    with tempfile.TemporaryDirectory() as folder:
        found, atoms = _index(Path(folder), progress)
        random = np.random.default_rng(5)
        book = _book(atoms, random)
        progress("batches as the worker judges them")
        found |= _batches(book, random)
        progress("probabilities against clouds of a million points")
        found["disc_max_error"] = _error(book, random)
        progress(f"{YEAR:,} scans against a new version")
        return found | _year(atoms, data, random)


def _index(folder: Path, progress: Progress) -> tuple[dict[str, float], AtomMap]:
    open_index(load_installed_map(), folder, progress)
    took = []
    for _ in range(3):
        atoms = load_installed_map()
        began = time.perf_counter()
        index = open_index(atoms, folder)
        index.grid.locate([104.0], [30.0])
        took.append(time.perf_counter() - began)
    bytes_held = size(index.grid) + index.lines.ends.nbytes + index.lines.left.nbytes + index.lines.right.nbytes
    return {"map_index_mb": round(bytes_held / 1e6, 1), "map_index_reload_s": round(min(took), 4)}, atoms


def _book(atoms: AtomMap, random: np.random.Generator) -> TerritoryBook:
    cities = [each.adcode for each in atoms.records(Level.CITY)]
    return TerritoryBook(
        atoms,
        [
            TerritoryVersion(
                dealer=f"D{number}",
                adcodes=tuple(random.choice(cities, 2)),
                valid_from=_START,
                recorded_at=_START,
            )
            for number in range(DEALERS)
        ],
    )


def _border_scans(book: TerritoryBook, count: int, random: np.random.Generator) -> Scans:
    """Return scans bound to any dealer within some hundred metres of that dealer's border."""
    seller = random.integers(0, DEALERS, count)
    places = np.empty((count, 2))
    for number in np.unique(seller).tolist():
        rows = np.flatnonzero(seller == number)
        edges = book.border(book.versions[number])
        places[rows] = edges[random.integers(0, len(edges), len(rows)), :2]
    places += random.normal(0, _BORDER_SIGMA, (count, 2))
    return _scans([(each.dealer, each.channel, None) for each in book.versions], seller, places, random)


def _scans(
    sellers: Sequence[tuple[str, str, str | None]], seller: Indexes, places: Array, random: np.random.Generator
) -> Scans:
    count, start = len(seller), microseconds(_START)
    return Scans(
        tuple(sellers),
        seller,
        start + random.integers(0, 365 * _DAY, count),
        np.full(count, start + 400 * _DAY),
        np.ascontiguousarray(places[:, 0]),
        np.ascontiguousarray(places[:, 1]),
        np.hypot(random.choice([5.0, 20.0, 65.0], count) / 1.51, 138.0),
        np.zeros(count),
    )


def _batches(book: TerritoryBook, random: np.random.Generator) -> dict[str, float]:
    scans = _border_scans(book, _BATCH * _BATCHES, random)
    judge(book, scans, DEFAULT_POLICY)
    parts = [scans.taken(slice(start, start + _BATCH)) for start in range(0, len(scans), _BATCH)]
    p_inside = np.concatenate([judge(book, part, DEFAULT_POLICY).p_inside for part in parts])
    reached = int(((p_inside > 0) & (p_inside < 1)).sum())
    whole_us = 1e6 / rate(lambda: [judge(book, part, DEFAULT_POLICY) for part in parts], reached)
    # The same scans as exact places take everything but the probability.
    exact = [replace(part, sigma_m=np.zeros(len(part))) for part in parts]
    disc_us = whole_us - 1e6 / rate(lambda: [judge(book, part, DEFAULT_POLICY) for part in exact], reached)
    asked = [_asked(part) for part in parts]
    worded = rate(lambda: [check_many(book, each) for each in asked], len(scans))
    singly = rate(lambda: [check(book, *each) for each in asked[0]], _BATCH)
    far = near_towns(_middles(book.atoms), _SAMPLE, random)
    whole = _scans(scans.sellers, random.integers(0, DEALERS, _SAMPLE), far, random)
    return {
        "disc_us": round(disc_us, 1),
        "border_scan_us": round(whole_us, 1),
        "disc_share_percent": round(100 * reached / len(scans), 1),
        "finding_in_batch_us": round(1e6 / worded, 1),
        "finding_alone_us": round(1e6 / singly, 1),
        "finding_times_alone": round(worded / singly, 1),
        "verdicts_per_s": round(rate(lambda: judge(book, whole, DEFAULT_POLICY), _SAMPLE)),
    }


def _asked(scans: Scans) -> list[tuple[Query, GpsEvidence]]:
    now = _START + timedelta(days=400)
    return [
        (Query(scans.sellers[seller][0], now, now), GpsEvidence(lon, lat, 20.0, Platform.ANDROID))
        for seller, lon, lat in zip(scans.seller.tolist(), scans.lon.tolist(), scans.lat.tolist(), strict=True)
    ]


def _middles(atoms: AtomMap) -> Array:
    bounds = atoms.layer(Level.COUNTY).bounds
    found: Array = (bounds[:, :2] + bounds[:, 2:]) / 2
    return found


def _error(book: TerritoryBook, random: np.random.Generator) -> float:
    """Return the largest error of discs whose probability is near a threshold, against a million points each."""
    scans = _border_scans(book, 3_000, random)
    p_inside = judge(book, scans, DEFAULT_POLICY).p_inside
    gap = np.minimum(abs(p_inside - DEFAULT_POLICY.inside_at), abs(p_inside - DEFAULT_POLICY.outside_at))
    share = (np.arange(_REFERENCE) + 0.5) / _REFERENCE
    radius, angle = np.sqrt(-2.0 * np.log1p(-share)), np.arange(_REFERENCE) * np.pi * (3.0 - np.sqrt(5.0))
    worst = 0.0
    for row in np.argsort(gap)[:_THRESHOLD_DISCS].tolist():
        east, north = metres_per_degree(scans.lat[row])
        lon = scans.lon[row] + radius * np.cos(angle) * scans.sigma_m[row] / east
        lat = scans.lat[row] + radius * np.sin(angle) * scans.sigma_m[row] / north
        points, counties = book.atoms.covering(lon, lat)
        weight, inside = np.full(_REFERENCE, OFF_MAP_WEIGHT), np.zeros(_REFERENCE, dtype=np.bool_)
        weight[points] = 1.0
        inside[points[book.mask(book.versions[scans.seller[row]])[counties]]] = True
        worst = max(worst, abs(float(weight[inside].sum() / weight.sum()) - p_inside[row]))
    return round(worst, 5)


def _year(atoms: AtomMap, data: Scenery, random: np.random.Generator) -> dict[str, float]:
    """Recheck a year of scans, all of them of the dealer whose territory changes: the worst that can happen."""
    old = TerritoryVersion(dealer="D", adcodes=("310000", "320000", "330000"), valid_from=_START, recorded_at=_START)
    new = TerritoryVersion(
        dealer="D",
        adcodes=("310000", "320000", "330100", "340100"),
        valid_from=_START + timedelta(days=90),
        recorded_at=_START + timedelta(days=80),
    )
    before = TerritoryBook(atoms, [old])
    after = before.with_versions(new)
    places = near_towns(data.towns, YEAR // _TURNS, random)
    scans = _scans([("D", "retail", None)], np.zeros(len(places), dtype=np.intp), places, random)
    began = time.process_time()
    for _ in range(_TURNS):
        changes = recheck(before, after, scans)
    took = time.process_time() - began
    part = scans.taken(slice(0, _SAMPLE))
    was, now = (judge(book, part, DEFAULT_POLICY).verdict for book in (before, after))
    expected = np.flatnonzero(was != now)
    found = changes.rows[changes.rows < _SAMPLE]
    return {
        "year_recheck_s": round(took, 1),
        "year_changed": _TURNS * len(changes.rows),
        "year_judged_again_percent": round(100 * changes.judged / len(scans), 3),
        "year_wrong": len(np.setxor1d(found, expected)) + int((changes.before[: len(found)] == NONE).sum()),
    }
