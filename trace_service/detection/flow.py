"""Goods that turn up where their dealer may not sell: drip, bulk and whole provinces. docs/detection.md, statistic."""

from collections.abc import Iterable, Iterator
from itertools import combinations
from math import exp, inf, log
from typing import Any, Final, TypeAlias

from msgspec import Struct, structs

from trace_service.detection.calibration import Calibration, Evidence, features
from trace_service.detection.cell import Cell, Hit, Piece, apart
from trace_service.detection.changes import Claim, Contribution
from trace_service.detection.habits import Habits
from trace_service.detection.network import Network
from trace_service.detection.observations import Movement, Observation, Reviewed, Sighting, Withdrawn
from trace_service.detection.placing import KINDS, Kind, flat_km
from trace_service.detection.ratios import LOCATED, WHOLE_CASE, bulk_nats, drip_nats, gift_capped, home_nats
from trace_service.detection.settings import DAY_MS, Settings
from trace_service.detection.sightings import Sightings

_PROVINCE_DAYS: Final = (28, 100_000)
_LEAST_SHARE: Final = 1e-6
_GIFT_PLACE: Final = 0.01
# A present is opened in one place: hits further apart than this are hardly one.
_SPREAD_KM: Final = 25.0
_SPREAD_GIFT: Final = 0.15


# The expected share for each kind of position, and the surge.
_Honest: TypeAlias = tuple[tuple[float, ...], float]


class Weighed(Struct):
    """A place at one moment: nats by detector, and what they were computed from."""

    drip: float = -inf
    bulk: float = -inf
    home: float = 0.0
    shipment: str | None = None
    cases: int = 0
    spread: bool = False
    pieces: int = 0
    expected: float = 0.0
    located: tuple[int, ...] = (0,) * KINDS
    surge: float = 1.0
    windows: tuple[tuple[int, int, float, float], ...] = ()  # days, pieces, expected, nats

    @property
    def evidence(self) -> Evidence:
        """What the calibration looks at."""
        return Evidence(
            drip=self.drip, bulk=self.bulk, cases=self.cases, apart=self.pieces, expected=self.expected,
            spread=self.spread, home=self.home, located=sum(self.located),
        )  # fmt: skip


class FlowDetector:
    """Weighs a cell whenever a sighting changes it, with the habits of the last week."""

    wants: tuple[type, ...] = (Sighting, Withdrawn, Reviewed)

    def __init__(self, network: Network, settings: Settings, sightings: Sightings, habits: Habits) -> None:
        self.network, self.settings = network, settings
        self.sightings, self.habits = sightings, habits
        self.calibration = Calibration()
        self.alarming: set[tuple[str, int]] = set()
        # The cells of the last observation, and the nats of each city's cells by dealer.
        self.touched: list[Cell] = []
        self.by_city: dict[int, dict[str, float]] = {}

    def observe(self, observation: Observation, now: int) -> Iterable[Claim]:
        """Count a sighting, or take one back, and weigh what it changes."""
        if isinstance(observation, Sighting):
            cells = self.sightings.forget(observation.key) + self.sightings.take(observation)
        elif isinstance(observation, Withdrawn):
            cells = self.sightings.forget(observation.key)
        elif isinstance(observation, Movement):
            cells = self.sightings.stock(observation)
        else:
            if isinstance(observation, Reviewed):
                self.answered(observation.key, confirmed=observation.confirmed, benign=not observation.confirmed)
            return
        self.touched = list({(each.dealer, each.city): each for each in cells}.values())
        for cell in self.touched:
            yield self._claim(cell, self.weigh(cell, now))
            yield from self._province_claim(cell, now)

    def close_day(self, now: int) -> Iterable[Claim]:
        """Time alone makes nobody guilty."""
        del now
        return ()

    def weigh(self, cell: Cell, now: int) -> Weighed:
        """Weigh one city's pieces; pure of side effects."""
        shares = self.habits.shares(cell.dealer, cell.city)
        if shares is None or not cell.pieces:
            return Weighed()
        surge = self.habits.surge(cell.dealer, cell.city) * cell.allowance
        found = self._drip(cell.dealer, apart(cell.pieces), (shares, surge), self.settings.windows_days, now)
        home = max(0.0, len(cell.at_home) - found.expected)
        found.home = home_nats(len(cell.pieces), home, self.sightings.at_home_share)
        found.drip += found.home
        found.cases, found.spread = sum(len(each.hits) for each in cell.pieces), _spread(cell.pieces)
        for shipment in dict.fromkeys(hit.shipment for piece in cell.pieces for hit in piece.hits):
            if shipment is None:
                continue
            nats = self._bulk(cell, shipment, shares, surge) + found.home
            if nats > found.bulk:
                found.bulk, found.shipment = nats, shipment
        return found

    def _drip(self, dealer: str, pieces: list[Piece], honest: _Honest, windows: Iterable[int], now: int) -> Weighed:
        shares, surge = honest
        total, rows, widest = -inf, [], (0,) * KINDS
        for days in windows:
            since = now - days * DAY_MS
            inside = [piece for piece in pieces if piece.at >= since]
            located = self.sightings.exposure.located(dealer, since)
            mean = surge * sum(number * share for number, share in zip(located, shares, strict=True))
            visible = sum(number * part for number, part in zip(located, LOCATED, strict=True))
            nats = drip_nats(len(inside), max(mean, _LEAST_SHARE), visible)
            rows.append((days, len(inside), mean, nats))
            total, widest = _log_add(total, nats), located
        last = rows[-1]
        return Weighed(
            drip=total - log(len(rows)), pieces=last[1], expected=last[2],
            located=widest, surge=surge, windows=tuple(rows),
        )  # fmt: skip

    def _bulk(self, cell: Cell, shipment: str, shares: tuple[float, ...], surge: float) -> float:
        """Weigh one shipment's cases against this city; hits that may have one cause are one case."""
        here = [piece for piece in cell.pieces if any(hit.shipment == shipment for hit in piece.hits)]
        if not here:
            return -inf
        kappa = max(surge * shares[Kind.GPS] * 4, 0.002)
        ratios = []
        for piece in here:
            honest = max(min(1.0, surge * shares[piece.kind]), _LEAST_SHARE)
            ratios.append(LOCATED[piece.kind] / (honest + WHOLE_CASE * kappa * LOCATED[piece.kind]))
        for case in self.sightings.shipments[shipment]:
            if case not in cell.hits:
                ratio = 1.0
                for kind, _ in self.sightings.cities[cell.dealer, case].values():
                    ratio *= 1 - LOCATED[kind]
                if (cell.dealer, case) in self.sightings.stocked:
                    ratio *= 1 - LOCATED[Kind.STORE]
                ratios.append(ratio)
        cases = len(here) + sum(piece.kind == Kind.STORE for piece in here)
        place = max(kappa, _GIFT_PLACE) * (_SPREAD_GIFT if _spread(here) else 1.0)
        return gift_capped(bulk_nats(ratios), cases, place)

    def _claim(self, cell: Cell, weighed: Weighed) -> Claim:
        raised = self.stricter()
        drip, bulk = self.settings.drip_nats + raised, self.settings.bulk_nats + raised
        by_bulk = weighed.bulk - bulk > weighed.drip - drip
        nats, threshold = (weighed.bulk, bulk) if by_bulk else (weighed.drip, drip)
        if not self._enough(cell.pieces):
            nats = min(nats, 0.0)
        self.by_city.setdefault(cell.city, {})[cell.dealer] = max(weighed.drip, weighed.bulk)
        place = (cell.dealer, cell.city)
        adcode = self.network.cities[cell.city].adcode
        kind = "bulk" if by_bulk else "drip"
        light = Claim(
            key=f"flow/{cell.dealer}/{adcode}",
            detector=kind,
            kind=kind,
            dealer=cell.dealer,
            nats=nats,
            threshold=threshold,
        )
        if nats < threshold - self.settings.retract_margin_nats:
            self.alarming.discard(place)
            return light
        probability, band = self.calibration.claim.judge(features(weighed.evidence))
        hits = self._telling(cell.pieces, weighed.shipment if by_bulk else None)
        claim = structs.replace(
            light,
            probability=probability,
            band=band,
            least_probability=self.settings.least_probability,
            adcode=adcode,
            contributions=contributions(hits, nats),
            units=tuple(dict.fromkeys(unit for hit, _ in hits for unit in hit.units)),
            shipments=tuple(sorted({hit.shipment for hit, _ in hits if hit.shipment})),
            figures=self._figures(cell, weighed),
        )
        (self.alarming.add if claim.alarming else self.alarming.discard)(place)
        return claim

    def _enough(self, pieces: list[Piece]) -> bool:
        """Whether there are cases enough to speak of; what is found in a shop counts twice."""
        return len(pieces) + sum(each.kind == Kind.STORE for each in pieces) >= self.settings.least_cases

    def _telling(self, pieces: list[Piece], shipment: str | None) -> list[tuple[Hit, int]]:
        """Return the hits that speak, each with how many share its cause."""
        found = [
            (hit, len(piece.hits))
            for piece in pieces
            for hit in piece.hits
            if shipment is None or hit.shipment == shipment
        ]
        return sorted(found, key=lambda each: (each[0].at, each[0].case))

    def _figures(self, cell: Cell, weighed: Weighed) -> dict[str, Any]:
        return {
            "observed": weighed.pieces,
            "cases": len(cell.hits),
            "expected": round(weighed.expected, 4),
            "located": dict(zip(("gps", "ip", "store"), weighed.located, strict=True)),
            "surge": round(weighed.surge, 3),
            "features": [round(each, 6) for each in features(weighed.evidence)],
            "spread": weighed.spread,
            "at_home": len(cell.at_home),
            "home_nats": round(weighed.home, 3),
            "drip_nats": round(weighed.drip, 3),
            "bulk_nats": round(max(weighed.bulk, -99.0), 3),
            "bulk_shipment": weighed.shipment,
            "windows": [
                {"days": days, "observed": seen, "expected": round(mean, 4), "nats": round(nats, 3)}
                for days, seen, mean, nats in weighed.windows
            ],
            "baseline": self.habits.snapshot,
        }

    def _province_claim(self, cell: Cell, now: int) -> Iterator[Claim]:
        if not self.habits.rows or cell.dealer not in self.habits.rows:
            return
        place = self.habits.place_of_province(cell.city)
        cells = [
            each
            for each in self.sightings.by_dealer[cell.dealer]
            if self.habits.province_of[each.city] == self.habits.province_of[cell.city]
        ]
        if len(cells) < 2:  # noqa: PLR2004  # one city is not a province
            return
        code = self.habits.provinces[self.habits.province_of[cell.city]]
        key = f"province/{cell.dealer}/{code}"
        pieces = apart(piece for each in cells for piece in each.pieces)
        shares = self.habits.shares(cell.dealer, place) or (0.0,) * KINDS
        surge = self.habits.surge(cell.dealer, place)
        weighed = self._drip(cell.dealer, pieces, (shares, surge), _PROVINCE_DAYS, now)
        threshold = self.settings.province_nats + self.stricter()
        covered = any((each.dealer, each.city) in self.alarming for each in cells)
        nats = weighed.drip if self._enough(pieces) and not covered else -inf
        if nats < threshold:
            yield Claim(
                key=key,
                detector="province",
                kind="drip",
                dealer=cell.dealer,
                nats=max(nats, -99.0),
                threshold=threshold,
            )
            return
        hits = self._telling(pieces, None)
        yield Claim(
            key=key,
            detector="province",
            kind="drip",
            dealer=cell.dealer,
            nats=nats,
            threshold=threshold,
            adcode=code,
            contributions=contributions(hits, nats),
            units=tuple(dict.fromkeys(unit for hit, _ in hits for unit in hit.units)),
            shipments=tuple(sorted({hit.shipment for hit, _ in hits if hit.shipment})),
            figures=self._figures(cell, weighed),
        )

    def stricter(self) -> float:
        """Return by how much the number of tested cells raises every threshold."""
        return max(0.0, log(max(1, len(self.sightings.cells)) / self.settings.cells_at_default))

    def answered(self, key: str, *, confirmed: bool = False, benign: bool = True) -> None:
        """Count nothing of what a closed alert rested on again; a benign answer allows for more of it."""
        head, _, rest = key.partition("/")
        dealer, _, adcode = rest.rpartition("/")
        city = self.network.city_index.get(adcode)
        if head != "flow" or city is None or (cell := self.sightings.cells.get((dealer, city))) is None:
            return
        cell.settle(confirmed=confirmed, benign=benign)
        self.alarming.discard((dealer, city))


def contributions(hits: list[tuple[Hit, int]], nats: float) -> tuple[Contribution, ...]:
    """Share out the evidence: hits with one cause share one part."""
    parts = sum(1 / shared for _, shared in hits)
    return tuple(
        Contribution(
            case=hit.case,
            nats=round(nats / shared / parts, 3),
            events=tuple(hit.events),
            first_at=hit.at,
            note="one_cause" if shared > 1 else "",
        )
        for hit, shared in hits
    )


def _spread(pieces: list[Piece]) -> bool:
    """Whether hits with a position lie further apart than one present's guests."""
    points = [(hit.lat, hit.lon) for each in pieces for hit in each.hits if hit.lat is not None and hit.lon is not None]
    return any(flat_km(*first, *second) > _SPREAD_KM for first, second in combinations(points, 2))


def _log_add(first: float, second: float) -> float:
    high, low = max(first, second), min(first, second)
    return high if low == -inf else high + log(1 + exp(low - high))
