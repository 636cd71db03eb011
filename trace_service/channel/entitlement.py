"""May this dealer order or sell this product here? Contracts, the tree and the geofence answer, for any moment."""

from bisect import bisect_right
from collections import OrderedDict, defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Final, Literal, TypeAlias

from geofence.coordinates import Crs
from geofence.errors import UnknownAdcodeError
from geofence.evidence import Evidence, GpsEvidence, Platform, SiteEvidence
from geofence.finding import Finding
from geofence.finding import Verdict as Place
from geofence.maps import AtomMap
from geofence.territory import Query, TerritoryBook, TerritoryVersion
from geofence.verdicts.check import check
from trace_service.channel.contracts import Grant, counties, grant_at, grants_at, period
from trace_service.channel.tree import path_at
from trace_service.channel.versions import ALWAYS, Channel, Facts

Verdict: TypeAlias = Literal["allowed", "not_allowed", "unknown"]
Act: TypeAlias = Literal["order", "sale"]
_KEPT: Final = 64
_VERDICTS: Final[dict[Place, Verdict]] = {
    Place.INSIDE: "allowed", Place.OUTSIDE: "not_allowed", Place.UNCERTAIN: "unknown", Place.NO_LOCATION: "unknown",
}  # fmt: skip


@dataclass(frozen=True)
class Position:
    """Where someone is, degrees and metres; without `accuracy_m` it is taken as exact, WGS-84."""

    lon: float
    lat: float
    accuracy_m: float | None = None
    platform: Platform = Platform.ANDROID
    crs: Crs = Crs.WGS84

    def evidence(self) -> Evidence:
        """Return it as the geofence takes it."""
        if self.accuracy_m is None and self.crs is Crs.WGS84:
            return SiteEvidence("", self.lon, self.lat)
        return GpsEvidence(self.lon, self.lat, self.accuracy_m or 0.0, self.platform, self.crs)


@dataclass(frozen=True)
class Question:
    """Who asks for what, where and when: a dealer, or a site and with it its dealer."""

    act: Act
    product: str
    at: datetime
    dealer: str | None = None
    site: str | None = None
    position: Position | None = None
    channel: str = "retail"


@dataclass(frozen=True)
class Reason:
    """One coded statement with what its words need."""

    code: str
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Ruling:
    """The answer; `contract_version` is 0 for a territory that was registered without a contract."""

    verdict: Verdict
    reasons: list[Reason]
    dealer: str | None = None
    path: list[str] = field(default_factory=list)
    contract: str | None = None
    contract_version: int | None = None
    territory_version: str | None = None
    county: str | None = None
    p_inside: float | None = None
    signed_distance_m: float | None = None
    legal_dealers: list[str] = field(default_factory=list)
    map_version: str = ""


class _RefusalError(Exception):
    """The question is answered before any place is looked at."""

    def __init__(self, verdict: Verdict, code: str, **parameters: object) -> None:
        super().__init__(code)
        self.verdict = verdict
        self.reason = Reason(code, dict(parameters))


class _Market:
    """Who may sell one product line through one channel, between two changes of any contract or dealer."""

    def __init__(self, channel: Channel, atoms: AtomMap, key: tuple[datetime, str, str]) -> None:
        moment, sales_channel, line = key
        self._atoms = atoms
        self._books: dict[str, TerritoryBook] = {}
        self.grants: dict[str, list[Grant]] = defaultdict(list)
        for grant in grants_at(channel, moment):
            if grant.channel == sales_channel and grant.sells(line) and channel.at("dealer", grant.dealer, moment):
                self.grants[grant.dealer].append(grant)

    @cached_property
    def by_county(self) -> dict[int, list[str]]:
        """The dealers of every county."""
        found: dict[int, list[str]] = defaultdict(list)
        for dealer in sorted(self.grants):
            for county in counties({code for each in self.grants[dealer] for code in each.adcodes}, self._atoms):
                found[county].append(dealer)
        return found

    def book(self, dealer: str) -> TerritoryBook:
        """Return the dealer's territory alone, worked out once; an empty book where it has none."""
        if dealer not in self._books:
            grants = self.grants.get(dealer, [])
            adcodes = tuple(code for each in grants for code in each.adcodes)
            version = TerritoryVersion(dealer=dealer, adcodes=adcodes, valid_from=ALWAYS, recorded_at=ALWAYS)
            self._books[dealer] = TerritoryBook(self._atoms, [version] if grants else [])
        return self._books[dealer]


class Entitlements:
    """Answers for one brand over one state of its channel; make another when something was recorded."""

    def __init__(self, channel: Channel, atoms: AtomMap) -> None:
        self._channel = channel
        self._atoms = atoms
        self._moments = self._changes()
        self._markets: OrderedDict[tuple[datetime, str, str], _Market] = OrderedDict()

    def answer(self, question: Question) -> Ruling:
        """Return the ruling; what is not known of makes it `unknown`, never an error."""
        dealer: str | None = question.dealer
        try:
            site = self._site(question)
            dealer = self._dealer(question, site)
            line = self._line(question)
            market = self._market(question, line)
            position = question.position or _position(site)
            return self._judge(question, (dealer, market, position))
        except UnknownAdcodeError:
            return Ruling("unknown", [Reason("off_map")], dealer, map_version=self._atoms.version)
        except _RefusalError as refusal:
            path = (
                path_at(self._channel, dealer, question.at)[::-1]
                if dealer and self._channel.line("dealer", dealer)
                else []
            )
            return Ruling(refusal.verdict, [refusal.reason], dealer, path, map_version=self._atoms.version)

    def _site(self, question: Question) -> Facts | None:
        if question.site is None:
            return None
        version = self._channel.at("site", question.site, question.at)
        if version is None:
            raise _RefusalError("unknown", "unknown_site", site=question.site)
        return version.facts

    def _dealer(self, question: Question, site: Facts | None) -> str:
        owner = site.get("dealer") if site else None
        dealer = question.dealer or owner
        line = self._channel.line("dealer", dealer) if dealer else None
        version = line.at(question.at) if line else None
        if dealer is None or version is None:
            raise _RefusalError("unknown", "unknown_dealer", dealer=dealer)
        if version.ended:
            raise _RefusalError("not_allowed", "dealer_closed", dealer=dealer, since=version.valid_from.isoformat())
        if owner is not None and dealer not in path_at(self._channel, owner, question.at):
            raise _RefusalError("not_allowed", "site_of_another_dealer", site=question.site, dealer=owner)
        return str(dealer)

    def _line(self, question: Question) -> str:
        line = self._channel.line("product", question.product)
        version = line.at(question.at) if line else None
        if version is None:
            raise _RefusalError("unknown", "unknown_product", product=question.product)
        if version.ended:
            raise _RefusalError("not_allowed", "product_discontinued", product=question.product)
        return version.facts.get("product_line") or ""

    def _judge(self, question: Question, who: tuple[str, _Market, Position | str | None]) -> Ruling:
        dealer, market, place = who
        finding = self._finding(market.book(dealer), Query(dealer, question.at, question.at), place)
        county = finding.owner_atom if finding else None
        legal = self._legal(market, county)
        grants = market.grants.get(dealer, [])
        grant = self._grant(grants, county)
        verdict, reasons = self._reasons(question, dealer, grant, finding)
        version = finding.territory_version if finding else None
        return Ruling(
            verdict=verdict,
            reasons=reasons,
            dealer=dealer,
            path=path_at(self._channel, dealer, question.at)[::-1],
            contract=grant.contract if grant else None,
            contract_version=grant.version.id if grant else None,
            territory_version=version.sha256 if version else None,
            county=county,
            p_inside=finding.p_inside if finding else None,
            signed_distance_m=_finite(finding.signed_distance_m) if finding else None,
            legal_dealers=legal,
            map_version=self._atoms.version,
        )

    def _reasons(
        self, question: Question, dealer: str, grant: Grant | None, finding: Finding | None
    ) -> tuple[Verdict, list[Reason]]:
        if grant is None:
            return "not_allowed", [self._why_no_contract(question, dealer)]
        contract = Reason("contract", {"contract": grant.contract})
        if finding is None:
            if question.act == "order":
                return "allowed", [contract, Reason("place_not_asked")]
            return "unknown", [contract, Reason("no_place")]
        reasons = [Reason(each.code.value, dict(each.parameters)) for each in finding.reasons]
        return _VERDICTS[finding.verdict], [contract, *reasons]

    def _why_no_contract(self, question: Question, dealer: str) -> Reason:
        """Say what is nearest to a contract: another line or channel, one that has ended, one yet to begin."""
        lines = [(key, self._channel.lines["contract", key]) for key in self._contracts_of.get(dealer, ())]
        others = [grant for key, line in lines if (grant := grant_at(key, line, question.at)) is not None]
        channels = sorted({grant.channel for grant in others})
        if others and question.channel not in channels:
            return Reason("other_channel", {"channels": channels})
        if others:
            return Reason("other_product_line", {"contracts": sorted(grant.contract for grant in others)})
        past, coming = None, None
        for key, line in lines:
            times = period(line.versions[-1].facts)
            if times.ends is not None and times.ends <= question.at:
                past = max(past or (times.ends, key), (times.ends, key))
            elif times.starts > question.at:
                coming = min(coming or (times.starts, key), (times.starts, key))
        if past is not None:
            return Reason("contract_ended", {"contract": past[1], "ended": past[0].isoformat()})
        if coming is not None:
            return Reason("contract_not_begun", {"contract": coming[1], "begins": coming[0].isoformat()})
        return Reason("no_contract", {"dealer": dealer})

    def _finding(self, book: TerritoryBook, query: Query, place: Position | str | None) -> Finding | None:
        if place is None:
            return None
        if isinstance(place, Position):
            return check(book, query, place.evidence())
        # A registered division without a position: the whole of it, none of it, or undecided.
        version = book.in_force(query)
        share = float(book.mask(version)[self._atoms.atom_indexes(place)].mean()) if version else None
        verdict = {1.0: Place.INSIDE, 0.0: Place.OUTSIDE}.get(-1.0 if share is None else share, Place.UNCERTAIN)
        return Finding(
            verdict=verdict, evidence=check(book, query, None).evidence, map_version=self._atoms.version, reasons=(),
            p_inside=share, owner_atom=place, territory_version=version,
        )  # fmt: skip

    def _grant(self, grants: list[Grant], county: str | None) -> Grant | None:
        """Return the contract that holds for the place, or else the first."""
        if county is not None:
            here = counties([county], self._atoms)
            for grant in grants:
                if here & counties(grant.adcodes, self._atoms):
                    return grant
        return grants[0] if grants else None

    def _legal(self, market: _Market, county: str | None) -> list[str]:
        if county is None:
            return []
        return sorted({dealer for each in counties([county], self._atoms) for dealer in market.by_county.get(each, ())})

    def _market(self, question: Question, line: str) -> _Market:
        index = bisect_right(self._moments, question.at)
        key = (self._moments[index - 1] if index else ALWAYS, question.channel, line)
        market = self._markets.pop(key, None) or _Market(self._channel, self._atoms, key)
        self._markets[key] = market
        if len(self._markets) > _KEPT:
            self._markets.popitem(last=False)
        return market

    @cached_property
    def _contracts_of(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for key in sorted(self._channel.keys("contract")):
            for dealer in {str(version.facts["dealer"]) for version in self._channel.lines["contract", key].versions}:
                found[dealer].append(key)
        return found

    def _changes(self) -> list[datetime]:
        """Return every moment at which who may sell something can change."""
        moments = set(self._channel.moments(("contract", "dealer", "product")))
        for key in self._channel.keys("contract"):
            for version in self._channel.lines["contract", key].versions:
                times = period(version.facts)
                moments |= {times.starts, *([times.ends] if times.ends else [])}
        return sorted(moments)


def _position(site: Facts | None) -> Position | str | None:
    """Return a registered site's position, or its division where nobody measured it."""
    if site is None:
        return None
    if site.get("lon") is not None:
        return Position(float(site["lon"]), float(site["lat"]), crs=Crs(site.get("crs") or Crs.WGS84))
    return site.get("adcode")


def _finite(value: float | None) -> float | None:
    return None if value is None or abs(value) == float("inf") else value
