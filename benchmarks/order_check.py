"""Order interception: may this dealer sell here, with 3,000 dealers under contract; latency of single questions.

Latencies are CPU time of the asking thread, which other work does not lengthen; `wall_mean_ms` is the clock's.

Beside it the obvious way: find the county in an R-tree of polygons, then look through all contracts. It gives no
probability near a border, no reasons and no chain.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from random import Random
from typing import Any

import numpy as np
import shapely

from benchmarks.frame import DataMissingError, Outcome, Progress, Target
from geofence.errors import MapUnavailableError
from geofence.maps import AtomMap, Level, load_installed_map
from trace_service.channel.contracts import period
from trace_service.channel.entitlement import Entitlements, Position, Question
from trace_service.channel.versions import ALWAYS, Channel, Version

_DEALERS = 3000
_QUESTIONS = 4000
_BASELINE = 400
_PRODUCT = "09506000134352"
_NOW = datetime(2026, 6, 1, tzinfo=UTC)
_P50, _P99 = 50, 99


def run(progress: Progress) -> Outcome:
    """Ask both the same questions."""
    atoms = _map()
    random = Random(7)
    channel, places = _world(atoms, random)
    questions = [_question(places, random) for _ in range(_QUESTIONS)]
    entitlements = Entitlements(channel, atoms)
    progress(f"{_DEALERS} dealers; first questions, which work out the borders")
    began = time.perf_counter()
    entitlements.answer(questions[0])
    first = time.perf_counter() - began
    cold, _ = _timed(entitlements.answer, questions)
    progress("the same questions again")
    wall = time.perf_counter()
    ours, rulings = _timed(entitlements.answer, questions)
    wall = time.perf_counter() - wall
    progress("the obvious way")
    naive = _Naive(channel, atoms)
    theirs, answers = _timed(naive.answer, questions[:_BASELINE])
    certain = [(r.verdict, a) for r, a in zip(rulings, answers, strict=False) if r.verdict != "unknown"]
    agreed = sum(verdict == answer for verdict, answer in certain) / len(certain)
    p50, naive_p50 = _ms(ours, _P50), _ms(theirs, _P50)
    return Outcome(
        {
            "dealers": _DEALERS,
            "first_question_ms": round(first * 1e3, 1),
            "cold_p99_ms": _ms(cold, _P99),
            "p50_ms": p50,
            "p99_ms": _ms(ours, _P99),
            "wall_mean_ms": round(wall / len(questions) * 1e3, 3),
            "naive_p50_ms": naive_p50,
            "naive_p99_ms": _ms(theirs, _P99),
            "times_the_naive_p50": round(naive_p50 / p50, 1),
            "agreement_percent": round(agreed * 100, 2),
        },
        {"p99_ms": Target("<=", 5.0), "agreement_percent": Target(">=", 99.5)},
    )


def _map() -> AtomMap:
    try:
        return load_installed_map()
    except MapUnavailableError as error:
        raise DataMissingError(str(error), advice=error.advice) from error


def _ms(seconds: list[float], percent: int) -> float:
    return round(float(np.percentile(seconds, percent)) * 1e3, 3)


def _timed(ask: Callable[[Question], Any], questions: list[Question]) -> tuple[list[float], list[Any]]:
    seconds, answers = [], []
    for question in questions:
        began = time.thread_time()
        answers.append(ask(question))
        seconds.append(time.thread_time() - began)
    return seconds, answers


def _world(atoms: AtomMap, random: Random) -> tuple[Channel, list[tuple[str, tuple[float, float]]]]:
    """Return dealers in a tree, each with a few counties of one city, and a point in each one's territory."""
    channel = Channel()
    cities = [record.adcode for record in atoms.records(Level.CITY)]
    layer = atoms.layer(Level.COUNTY)
    places = []
    channel.learn("product", _PRODUCT, "b", _version({"name_zh": "x", "name_en": "x", "product_line": "tequ"}))
    for number in range(_DEALERS):
        dealer = f"D{number:05}"
        parent = f"D{(number - 1) // 5:05}" if number else None
        channel.learn("dealer", dealer, "b", _version({"parent": parent, "name_zh": "x", "kind": "sub"}))
        counties = atoms.counties_of(random.choice(cities))
        own = sorted(random.sample(counties, min(len(counties), random.randint(1, 6))))
        facts = {
            "dealer": dealer, "channel": "retail", "product_lines": ["tequ"], "adcodes": own, "exclusive": False,
            "starts_on": "2025-01-01", "ends_on": "2027-12-31",
        }  # fmt: skip
        channel.learn("contract", f"C{number:05}", "b", _version(facts))
        point = layer.geometries[int(atoms.atom_indexes(random.choice(own))[0])].representative_point()
        places.append((dealer, (point.x, point.y)))
    return channel, places


def _version(facts: dict[str, Any]) -> Version:
    return Version(ALWAYS, facts, ended=False, recorded_at=_NOW, id=1)


def _question(places: list[tuple[str, tuple[float, float]]], random: Random) -> Question:
    """Return a question by a dealer at home, or in another one's territory, a few kilometres around."""
    dealer, home = random.choice(places)
    lon, lat = home if random.random() < 0.5 else random.choice(places)[1]  # noqa: PLR2004  half of them
    position = Position(lon + random.gauss(0, 0.03), lat + random.gauss(0, 0.03), 30.0)
    return Question("sale", _PRODUCT, _NOW, dealer=dealer, position=position)


class _Naive:
    """An R-tree over the counties, and a look through every contract."""

    def __init__(self, channel: Channel, atoms: AtomMap) -> None:
        self._channel = channel
        self._codes = [record.adcode for record in atoms.records(Level.COUNTY)]
        self._tree = shapely.STRtree(atoms.layer(Level.COUNTY).geometries)

    def answer(self, question: Question) -> str:
        """Return allowed or not_allowed."""
        where = question.position
        point = shapely.Point(where.lon, where.lat) if where else None
        found = {self._codes[index] for index in self._tree.query(point, predicate="intersects").tolist()}
        legal = set()
        for (kind, _), line in self._channel.lines.items():
            if kind == "contract":
                facts = line.versions[-1].facts
                fits = facts["channel"] == question.channel and "tequ" in facts["product_lines"]
                if fits and period(facts).covers(question.at) and found & set(facts["adcodes"]):
                    legal.add(facts["dealer"])
        return "allowed" if question.dealer in legal else "not_allowed"
