"""Goods that turn up where their dealer may not sell: drip, bulk and whole provinces. docs/detection.md, statistic."""

from collections.abc import Iterable, Iterator
from math import log
from typing import Any

from msgspec import structs

from trace_service.detection.calibration import Calibration, features
from trace_service.detection.cell import Cell, Hit, Piece, apart
from trace_service.detection.changes import Claim, Contribution
from trace_service.detection.habits import Habits
from trace_service.detection.material import PROVINCE_DAYS, Keeper
from trace_service.detection.network import Network
from trace_service.detection.observations import Movement, Observation, Reviewed, Sighting, Withdrawn
from trace_service.detection.placing import KINDS, Kind
from trace_service.detection.prevalence import log_odds, shift
from trace_service.detection.settings import DAY_MS, Settings
from trace_service.detection.sightings import Sightings
from trace_service.detection.weighing import Weighed, Weigher


class FlowDetector:
    """Weighs a cell whenever a sighting changes it, with the habits of the last week."""

    wants: tuple[type, ...] = (Sighting, Movement, Withdrawn, Reviewed)

    def __init__(
        self, network: Network, settings: Settings, sightings: Sightings, habits: Habits, calibration: Calibration
    ) -> None:
        self.network, self.settings = network, settings
        self.sightings, self.habits = sightings, habits
        self.calibration = calibration
        self.weigher = Weigher(settings, sightings, habits)
        self.keeper = Keeper(network, settings, sightings, habits)
        self.alarming: set[tuple[str, int]] = set()
        # The cells of the last observation, and by dealer what each city's cells add to others.
        self.touched: list[Cell] = []
        self.by_city: dict[int, dict[str, float]] = {}
        # What the calibration says of each cell that is nearly an alert, and what it says where so few are true.
        self._odds: dict[tuple[str, int], float] = {}
        self.judging = calibration
        self._shift = 0.0

    def observe(self, observation: Observation, now: int) -> Iterable[Claim]:
        """Count a sighting, or take one back, and weigh what it changes."""
        if isinstance(observation, Sighting):
            cells = self.sightings.forget(observation.key) + self.sightings.take(observation)
        elif isinstance(observation, Withdrawn):
            cells = self.sightings.forget(observation.key) + self.sightings.unstock(observation.key)
        elif isinstance(observation, Movement):
            cells = self.sightings.stock(observation)
            if not cells:
                return
        else:
            if isinstance(observation, Reviewed):
                until = None if observation.confirmed else now + observation.benign_days * DAY_MS
                self.answered(observation.key, confirmed=observation.confirmed, benign_until=until)
            return
        self.touched = list({(each.dealer, each.city): each for each in cells}.values())
        for cell in self.touched:
            yield self._claim(cell, now)
            yield from self._province_claim(cell, now)

    def close_day(self, now: int) -> Iterable[Claim]:
        """Time alone makes nobody guilty; how common guilt is, is learned once a day."""
        del now
        self._shift = shift(list(self._odds.values()))
        self.judging = self.calibration.shifted(self._shift)
        return ()

    def _claim(self, cell: Cell, now: int) -> Claim:
        weighed = self.weigher.weigh(cell, now)
        raised = self.stricter()
        pieces = cell.with_carried() if weighed.booked else cell.pieces
        nats, threshold, by_bulk = spoken(weighed, pieces, self.settings, raised)
        sent = len(self.sightings.sent[cell.dealer])
        self.by_city.setdefault(cell.city, {})[cell.dealer] = weighed.beside_others(sent)
        place = (cell.dealer, cell.city)
        adcode = self.network.cities[cell.city].adcode
        light = _light(f"flow/{cell.dealer}/{adcode}", "bulk" if by_bulk else "drip", nats, threshold)
        light = structs.replace(light, dealer=cell.dealer)
        if nats < threshold - self.settings.retract_margin_nats:
            self.alarming.discard(place)
            if not cell.settled:
                self._odds.pop(place, None)
            return light
        inputs = features(weighed.evidence)
        self._odds[place] = log_odds(self.calibration.claim.probability(inputs))
        probability, band = self.judging.claim.judge(inputs)
        hits = self._telling(pieces, weighed.shipment if by_bulk else None)
        claim = structs.replace(
            light,
            probability=probability,
            band=band,
            least_probability=self.settings.least_probability,
            certain_nats=self.settings.certain_nats + raised,
            adcode=adcode,
            contributions=contributions(hits, nats),
            **_named(hits),
            figures=self._figures(cell, weighed),
            material=self.keeper.city(cell, now, raised, self.judging),
            lead=True,
        )
        (self.alarming.add if claim.alarming else self.alarming.discard)(place)
        return claim

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
            "shop_had": len(cell.carried),
            "booked": weighed.booked,
            "at_home": len(cell.at_home),
            "home_nats": round(weighed.home, 3),
            "drip_nats": round(weighed.drip, 3),
            "bulk_nats": round(max(weighed.bulk, -99.0), 3),
            "bulk_shipment": weighed.shipment,
            "windows": [
                {"days": days, "observed": seen, "expected": round(mean, 4), "nats": round(nats, 3)}
                for days, seen, mean, nats in weighed.windows
            ],
            "prevalence": round(self._shift, 3),
            "baseline": self.habits.snapshot,
        }

    def _province_claim(self, cell: Cell, now: int) -> Iterator[Claim]:
        """Weigh the cell's whole province, where no city of it is an alert by itself."""
        if cell.dealer not in self.habits.rows:
            return
        province_of = self.habits.province_of
        cells = [
            each for each in self.sightings.by_dealer[cell.dealer] if province_of[each.city] == province_of[cell.city]
        ]
        if len(cells) < 2:  # noqa: PLR2004  # one city is not a province
            return
        threshold = self.settings.province_nats + self.stricter()
        code = self.habits.provinces[province_of[cell.city]]
        claim = Claim(
            key=f"province/{cell.dealer}/{code}", detector="province", kind="drip", dealer=cell.dealer,
            nats=-99.0, threshold=threshold,
        )  # fmt: skip
        if any((each.dealer, each.city) in self.alarming for each in cells):
            yield claim
            return
        pieces = apart(piece for each in cells for piece in each.pieces)
        if not enough(pieces, self.settings):
            yield claim
            return
        place = self.habits.place_of_province(cell.city)
        honest = (self.habits.shares(cell.dealer, place) or (0.0,) * KINDS, self.habits.surge(cell.dealer, place))
        weighed = self.weigher.drip(cell.dealer, pieces, honest, PROVINCE_DAYS, now)
        nats = max(weighed.drip, -99.0)
        claim = structs.replace(claim, nats=nats)
        if nats < threshold - self.settings.retract_margin_nats:
            yield claim
            return
        hits = self._telling(pieces, None)
        yield structs.replace(
            claim, adcode=code, contributions=contributions(hits, nats), figures=self._figures(cell, weighed),
            material=self.keeper.province(cells, place, now, self.stricter()), lead=True, **_named(hits),
        )  # fmt: skip

    def stricter(self) -> float:
        """Return by how much the number of tested cells raises every threshold."""
        return max(0.0, log(max(1, len(self.sightings.cells)) / self.settings.cells_at_default))

    def answered(
        self, key: str, *, confirmed: bool = False, benign_until: int | None = None, probability: float = 0.0
    ) -> None:
        """Count nothing of what a closed alert rested on again; a benign answer allows for more of it for a time.

        `probability` is what remains to be said of the place from then on.
        """
        head, _, rest = key.partition("/")
        dealer, _, adcode = rest.rpartition("/")
        city = self.network.city_index.get(adcode)
        if head != "flow" or city is None or (cell := self.sightings.cells.get((dealer, city))) is None:
            return
        cell.settle(confirmed=confirmed, benign_until=benign_until)
        cell.past = max(probability, float(confirmed))
        if confirmed or benign_until is not None:
            self._odds[dealer, city] = log_odds(float(confirmed))
        self.alarming.discard((dealer, city))


def enough(pieces: list[Piece], settings: Settings) -> bool:
    """Whether there are cases enough to speak of; what is found in a shop counts twice."""
    return len(pieces) + sum(each.kind == Kind.STORE for each in pieces) >= settings.least_cases


def spoken(weighed: Weighed, pieces: list[Piece], settings: Settings, raised: float) -> tuple[float, float, bool]:
    """Return the nats of the rule that is furthest above its threshold, that threshold, and whether it is bulk."""
    drip, bulk = settings.drip_nats + raised, settings.bulk_nats + raised
    by_bulk = weighed.bulk - bulk > weighed.drip - drip
    nats, threshold = (weighed.bulk, bulk) if by_bulk else (weighed.drip, drip)
    return (nats if enough(pieces, settings) else min(nats, 0.0)), threshold, by_bulk


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


def _light(key: str, kind: str, nats: float, threshold: float) -> Claim:
    """Return a claim without its evidence, which is enough where it takes an alert back."""
    return Claim(key=key, detector=kind, kind=kind, dealer=None, nats=nats, threshold=threshold)


def _named(hits: list[tuple[Hit, int]]) -> dict[str, tuple[str, ...]]:
    """Return the units and shipments of some hits, each once."""
    return {
        "units": tuple(dict.fromkeys(unit for hit, _ in hits for unit in hit.units)),
        "shipments": tuple(sorted({hit.shipment for hit, _ in hits if hit.shipment})),
    }
