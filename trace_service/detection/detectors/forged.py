"""Codes that nobody issued, or that were made void: claims about codes, never about a dealer.

Kept: what of the last sixty days is bad, scans by city for thirteen months, and phones with strange labels by city.
"""

import re
from collections import deque
from collections.abc import Iterable, Sequence
from math import log

from msgspec import Struct

from trace_service.detection.changes import Claim, Contribution
from trace_service.detection.network import Network
from trace_service.detection.observations import CodeState, Observation, Reviewed, Sighting, Withdrawn
from trace_service.detection.placing import Placer
from trace_service.detection.settings import DAY_MS, Settings

_BAD = {CodeState.UNKNOWN: "never_issued", CodeState.INACTIVE: "not_activated", CodeState.VOID: "void"}
# A code in the form of issued ones that nobody issued is no misread.
_WELL_FORMED_NATS = 7.0
# Others may be misreads or strangers' labels, which come everywhere: many phones with such codes in one city are a
# series of labels in another form. What is expected is never less than this, whatever was seen so far.
_LEAST_MISREADS = 0.25
_LEAST_BAD = 1e-6
_MISREAD_PRIOR = (0.05, 100.0)
_MONTH_MS = 30 * DAY_MS
_YEAR_MONTHS = 13
# What could be a label at all: four digits among eight characters, and nothing that a person typed between words.
_LABEL = re.compile(r"(?=(?:\D*\d){4})\S{8,}")
_NATS_A_CODE = {CodeState.UNKNOWN: 3.0, CodeState.INACTIVE: 1.5, CodeState.VOID: 2.5}
NATS_A_DEVICE = 0.5
# Where lone unknown codes are this common among scans, something else than forgers makes them. Several forgers at once
# leave one in a thousand.
_COMMON = 2e-3
_FEW = 12
# Where so many phones for all scans have unknown codes, the register lacks issued ones: then only a city with more than
# others tells of a forger. Phones and not codes, so that nobody silences all cities with one phone.
_LACKING = 0.05
# A reviewed alert that was benign makes the next one say less.
_REVIEWS = 10.0
_THRESHOLD = 6.9
_POOL_DAYS = 60
# A label that names a product of the brand in a form that was never printed.
_FOREIGN_FORM = "~"

Pool = tuple[str, str]


class _Seen(Struct):
    """One bad code: who scanned it, and since when it is known."""

    unit: str
    state: CodeState
    at: int
    known: int
    keys: dict[str, tuple[str, str]]  # sighting → event, device


class ForgedDetector:
    """Pools bad codes by product and city for sixty days; late uploads have a day to explain each."""

    wants: tuple[type, ...] = (Sighting, Withdrawn, Reviewed)

    def __init__(self, network: Network, settings: Settings, placer: Placer) -> None:
        self.network, self.settings, self.placer = network, settings, placer
        self._pools: dict[Pool, dict[str, _Seen]] = {}
        self._pool_of: dict[str, tuple[Pool, str]] = {}
        self._due: deque[tuple[int, Pool]] = deque()
        # Pools that began with a well-formed code, by month, and whether a second one has joined it.
        self._lone: dict[int, int] = {}
        self._traffic: dict[str, dict[int, int]] = {}
        self._scans: dict[int, int] = {}
        self._strange: dict[str, dict[str, int]] = {}
        # Bad codes that came up, by state, city and month: void ones and those not active yet do so everywhere.
        self._bad: dict[CodeState, dict[str, dict[int, int]]] = {each: {} for each in _BAD}
        # Phones with unknown codes in the issued form: where and in which month last; and how many there are by city.
        self._formed: dict[str, tuple[str, int]] = {}
        self._formed_in: dict[str, int] = {}
        self._explained: set[str] = set()  # of these, those whose codes turned out to be issued today
        self._reviews = [_REVIEWS, _REVIEWS]  # confirmed, all

    def observe(self, observation: Observation, now: int) -> Iterable[Claim]:
        """Count a bad code; a code that turns out to be issued takes itself back."""
        yield from self._speak(now)
        if isinstance(observation, Reviewed) and observation.key.startswith("forged/"):
            self._reviews[0] += observation.confirmed
            self._reviews[1] += 1
        if not isinstance(observation, Sighting | Withdrawn):
            return
        old = self._pool_of.pop(observation.key, None)
        if old is not None:
            self._forget(*old, observation.key)
            yield self._claim(old[0], now)
        if isinstance(observation, Sighting) and observation.kind == "scan":
            self._count(observation, now)

    def close_day(self, now: int) -> Iterable[Claim]:
        """Speak of codes that a day of late uploads has not explained, and forget what is old."""
        yield from self._speak(now)
        # Not at once: while a register is completed, what still lacks is no forgery.
        month = now // _MONTH_MS - _YEAR_MONTHS
        for who in [each for each, (_, last) in self._formed.items() if last < month or each in self._explained]:
            self._unform(who)
        self._explained.clear()
        if now // DAY_MS % 30 == 0:
            self._tidy(now)

    def _speak(self, now: int) -> Iterable[Claim]:
        while self._due and self._due[0][0] <= now:
            _, pool = self._due.popleft()
            if pool in self._pools:
                yield self._claim(pool, now)

    def _count(self, sighting: Sighting, now: int) -> None:
        goods, month = sighting.goods, now // _MONTH_MS
        placed = self.placer.place(sighting)
        city = self.network.cities[placed.city].adcode if placed else ""
        months = self._traffic.setdefault(city, {})
        months[month] = months.get(month, 0) + 1
        self._scans[month] = self._scans.get(month, 0) + 1
        if goods.state not in _BAD or goods.misread:
            return
        pool = (goods.product or self._named(goods.unit), city)
        who = sighting.device or sighting.actor
        if not goods.product and _LABEL.fullmatch(goods.unit):
            self._strange.setdefault(city, {})[who] = month
        if goods.product and goods.state is CodeState.UNKNOWN:
            self._unform(who)
            self._explained.discard(who)
            self._formed[who] = city, month
            self._formed_in[city] = self._formed_in.get(city, 0) + 1
        codes = self._pools.setdefault(pool, {})
        seen = codes.get(goods.unit)
        if seen is None:
            seen = codes[goods.unit] = _Seen(goods.unit, goods.state, sighting.occurred_at, now, {})
            bad = self._bad[goods.state].setdefault(city, {})
            bad[month] = bad.get(month, 0) + 1
            self._due.append((now + self._grace_ms, pool))
            if goods.product and len(codes) == 1:
                self._lone[month] = self._lone.get(month, 0) + 1
            elif goods.product and len(codes) == 2:  # noqa: PLR2004  no longer alone
                first = min(each.known for each in codes.values()) // _MONTH_MS
                self._lone[first] = max(0, self._lone.get(first, 0) - 1)
        seen.keys[sighting.key] = (sighting.event, who)
        self._pool_of[sighting.key] = (pool, goods.unit)

    def _named(self, unit: str) -> str:
        """Return the product that a code in another form names, with the mark of such forms; else nothing."""
        return next((_FOREIGN_FORM + gtin for gtin in self.network.products if gtin in unit), "")

    def _forget(self, pool: Pool, unit: str, key: str) -> None:
        seen = self._pools[pool][unit]
        _, who = seen.keys.pop(key, ("", ""))
        self._explained.add(who)
        if not seen.keys:
            del self._pools[pool][unit]
            bad, month = self._bad[seen.state].get(pool[1], {}), seen.known // _MONTH_MS
            if month in bad:
                bad[month] -= 1

    def _unform(self, who: str) -> None:
        if (last := self._formed.pop(who, None)) is not None:
            self._formed_in[last[0]] -= 1

    @property
    def _grace_ms(self) -> int:
        return self.settings.late_upload_hours * DAY_MS // 24

    def _tidy(self, now: int) -> None:
        """Forget codes that no claim can name any more, and months that no rate needs."""
        oldest, month = now - 2 * _POOL_DAYS * DAY_MS, now // _MONTH_MS - _YEAR_MONTHS
        for pool, codes in list(self._pools.items()):
            for unit, seen in list(codes.items()):
                if seen.known < oldest:
                    for key in seen.keys:
                        self._pool_of.pop(key, None)
                    del codes[unit]
            if not codes:
                del self._pools[pool]
        cities = (months for found in self._bad.values() for months in found.values())
        for counts in (self._lone, self._scans, *self._traffic.values(), *cities):
            for old in [each for each in counts if each < month]:
                del counts[old]
        for devices in self._strange.values():
            for device in [each for each, last in devices.items() if last < month]:
                del devices[device]

    def _unknown_nats(self) -> float:
        common = sum(self._lone.values()) > max(_FEW, _COMMON * sum(self._scans.values()))
        known = _WELL_FORMED_NATS + log(self._reviews[0] / self._reviews[1])
        return _NATS_A_CODE[CodeState.UNKNOWN] if common else known

    def _series_nats(self, city: str, found: int, now: int, elsewhere: int, least: float = _LEAST_MISREADS) -> float:
        """Return how much likelier so many codes in a city are than at the rate of all other cities.

        The log of a ratio of Poisson probabilities, at the mean found and at the mean expected, which is never taken
        to be less than `least`.
        """
        month = now // _MONTH_MS
        traffic = self._traffic.get(city, {})
        scans = sum(traffic.get(month - back, 0) for back in range(3))
        others = sum(self._scans.values()) - sum(traffic.values())
        share = (elsewhere + _MISREAD_PRIOR[0]) / (others + _MISREAD_PRIOR[1])
        expected = max(least, scans * share)
        return found * log(found / expected) - (found - expected) if found > expected else 0.0

    def _lacking(self, city: str, found: int, now: int) -> float | None:
        """Return what so many unknown codes say where the register lacks issued ones, None where it does not."""
        formed = len(self._formed)
        if formed <= max(_FEW, _LACKING * sum(self._scans.values())):
            return None
        return self._series_nats(city, found, now, formed - self._formed_in.get(city, 0))

    def _known(self, city: str, seen: Sequence[_Seen], now: int) -> dict[CodeState, float]:
        """Return, by state, what a code says that was issued and is void or not active.

        Of such goods some are always about, and the more is scanned, the more of them are: together they say no more
        than that a city has more of them than all others have. A phone with several has one of their causes.
        """
        found = {}
        for state in (CodeState.INACTIVE, CodeState.VOID):
            codes = [each for each in seen if each.state is state]
            if codes:
                phones = len({phone for each in codes for _, phone in each.keys.values()})
                elsewhere = sum(sum(months.values()) for place, months in self._bad[state].items() if place != city)
                nats = self._series_nats(city, min(len(codes), phones), now, elsewhere, _LEAST_BAD)
                found[state] = min(_NATS_A_CODE[state], (nats - NATS_A_DEVICE * (phones - 1)) / len(codes))
        return found

    def _weigh(self, pool: Pool, seen: Sequence[_Seen], devices: int, now: int) -> tuple[float, list[float]]:
        """Return the nats of a pool's codes together, and each one's share."""
        product, city = pool
        if product and not product.startswith(_FOREIGN_FORM):
            bad = self._known(city, seen, now)
            shares = [self._unknown_nats() if each.state is CodeState.UNKNOWN else bad[each.state] for each in seen]
            known = [share for share, each in zip(shares, seen, strict=True) if each.state is not CodeState.UNKNOWN]
            lacking = self._lacking(city, min(len(seen) - len(known), devices), now)
            if lacking is not None and (nats := lacking + sum(known)) < sum(shares):
                return nats, [(nats - NATS_A_DEVICE * (devices - 1)) / max(1, len(seen))] * len(seen)
            return sum(shares) + NATS_A_DEVICE * (devices - 1), shares
        found = min(len(seen), devices)
        elsewhere = sum(len(phones) for place, phones in self._strange.items() if place != city)
        nats = self._series_nats(city, found, now, elsewhere)
        if product:
            nats = max(nats, _NATS_A_CODE[CodeState.UNKNOWN] * found)
        return nats, [nats / max(1, len(seen))] * len(seen)

    def _claim(self, pool: Pool, now: int) -> Claim:
        product, city = pool
        since, until = now - _POOL_DAYS * DAY_MS, now - self._grace_ms
        seen = [each for each in self._pools.get(pool, {}).values() if since <= each.known <= until]
        if not product or product.startswith(_FOREIGN_FORM):
            seen = [each for each in seen if _LABEL.fullmatch(each.unit)]
        devices = {device for each in seen for _, device in each.keys.values()}
        nats, shares = self._weigh(pool, seen, len(devices), now)
        return Claim(
            key=f"forged/{product}/{city}",
            detector="forged",
            kind="forged",
            dealer=None,
            nats=nats,
            threshold=_THRESHOLD,
            adcode=city or None,
            contributions=tuple(
                Contribution(
                    case="",
                    nats=round(share, 3),
                    events=tuple(event for event, _ in each.keys.values()),
                    first_at=each.at,
                    note=_BAD[each.state],
                )
                for each, share in zip(seen, shares, strict=True)
            ),
            units=tuple(each.unit for each in seen),
            figures={
                "codes": len(seen),
                "devices": len(devices),
                "product": product.lstrip(_FOREIGN_FORM),
                "issued_form": bool(product) and not product.startswith(_FOREIGN_FORM),
                "days": _POOL_DAYS,
            },
        )
