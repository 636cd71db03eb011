"""Verdicts on the installed map: what a compliance manager sees for scans inside, outside and at the border."""

from datetime import UTC, datetime, timedelta

import pytest

from geofence.coordinates import Crs, convert
from geofence.errors import CoordinateError, UnknownAdcodeError
from geofence.evidence import Evidence, EvidenceKind, GpsEvidence, IpCityEvidence, Platform, SiteEvidence
from geofence.finding import Finding, Reason, ReasonCode, Verdict
from geofence.maps import AtomMap, load_installed_map
from geofence.territory import Query, TerritoryBook, TerritoryVersion
from geofence.verdicts.check import check, check_many

START = datetime(2025, 1, 1, tzinfo=UTC)
SUZHOU, SHANGHAI, NANJING = (120.6196, 31.2990), (121.4737, 31.2304), (118.7969, 32.0603)
CITIES = {"suzhou": "320500", "shanghai": "310000", "wuxi": "320200"}
# A level line that leaves Kunshan for Jiading: the border is near 121.13° E.
BORDER_LATITUDE = 31.3


@pytest.fixture(scope="module")
def book() -> TerritoryBook:
    atoms: AtomMap = load_installed_map()
    versions = [
        TerritoryVersion(dealer=dealer, adcodes=(code,), valid_from=START, recorded_at=START)
        for dealer, code in CITIES.items()
    ]
    ended = TerritoryVersion(dealer="ended", adcodes=(), valid_from=START, recorded_at=START)
    return TerritoryBook(atoms, [*versions, ended])


def query(dealer: str = "suzhou", days: int = 10) -> Query:
    return Query(dealer, START + timedelta(days=days), START + timedelta(days=days))


def phone(place: tuple[float, float], accuracy_m: float = 20.0, crs: Crs | None = Crs.WGS84) -> GpsEvidence:
    return GpsEvidence(*place, accuracy_m, Platform.ANDROID, crs)


def reason(finding: Finding, code: ReasonCode) -> Reason:
    (found,) = [each for each in finding.reasons if each.code is code]
    return found


def test_inside(book: TerritoryBook) -> None:
    found = check(book, query(), phone(SUZHOU))
    assert (found.verdict, found.p_inside, found.owner_atom) == (Verdict.INSIDE, 1.0, "320508")
    assert found.signed_distance_m is not None
    assert -40_000 < found.signed_distance_m < -20_000
    assert found.legal_dealers == ("suzhou",)
    assert reason(found, ReasonCode.WELL_INSIDE).parameters["metres"] == -found.signed_distance_m


def test_outside_names_who_may_sell_there(book: TerritoryBook) -> None:
    found = check(book, query(), phone(SHANGHAI))
    assert (found.verdict, found.p_inside) == (Verdict.OUTSIDE, 0.0)
    assert found.legal_dealers == ("shanghai",)
    assert found.nearest_legal is not None
    assert (found.nearest_legal.dealer, found.nearest_legal.metres) == ("shanghai", 0.0)
    assert reason(found, ReasonCode.OWNED_BY_OTHERS).parameters == {"dealers": "shanghai"}
    assert found.territory_version is not None
    assert found.territory_version.dealer == "suzhou"


def test_outside_everything_names_the_nearest_dealer(book: TerritoryBook) -> None:
    found = check(book, query(), phone(NANJING))
    assert found.legal_dealers == ()
    assert found.nearest_legal is not None
    assert found.nearest_legal.dealer == "wuxi"
    assert 80_000 < found.nearest_legal.metres < 110_000


def border_longitude(book: TerritoryBook) -> float:
    west, east = 121.0, 121.3
    for _ in range(40):
        middle = (west + east) / 2
        inside = (book.atoms.locate(middle, BORDER_LATITUDE) or "").startswith("3205")
        west, east = (middle, east) if inside else (west, middle)
    return west


def test_probability_falls_from_one_to_zero_across_the_border(book: TerritoryBook) -> None:
    border = border_longitude(book)
    found = [
        check(book, query(), phone((border + metres / 95_000, BORDER_LATITUDE)))
        for metres in (-700, -300, -150, 0, 150, 300, 700)
    ]
    chances = [each.p_inside for each in found if each.p_inside is not None]
    assert len(chances) == len(found)
    assert chances == sorted(chances, reverse=True)
    assert chances[0] > 0.99
    assert 0.3 < chances[3] < 0.7
    assert [found[0].verdict, found[3].verdict, found[-1].verdict] == [
        Verdict.INSIDE,
        Verdict.UNCERTAIN,
        Verdict.OUTSIDE,
    ]
    assert reason(found[3], ReasonCode.NEAR_BORDER).parameters["sigma_m"] == found[3].sigma_m


def test_a_vaguer_fix_at_the_same_place_is_less_sure(book: TerritoryBook) -> None:
    place = (border_longitude(book) + 0.008, BORDER_LATITUDE)
    sure, vague = check(book, query(), phone(place, 10)), check(book, query(), phone(place, 1500))
    assert sure.verdict is Verdict.OUTSIDE
    assert vague.verdict is Verdict.UNCERTAIN
    assert vague.signed_distance_m == sure.signed_distance_m


def test_a_registered_site_is_exact_even_at_the_border(book: TerritoryBook) -> None:
    border = border_longitude(book)
    inside = check(book, query(), SiteEvidence("S1", border - 0.0002, BORDER_LATITUDE))
    outside = check(book, query(), SiteEvidence("S2", border + 0.0002, BORDER_LATITUDE))
    assert (inside.verdict, outside.verdict) == (Verdict.INSIDE, Verdict.OUTSIDE)
    assert reason(outside, ReasonCode.REGISTERED_SITE).parameters == {"site_id": "S2"}


def test_a_site_exactly_on_a_border_is_inside_for_both_dealers(book: TerritoryBook) -> None:
    suzhou = book.in_force(query())
    assert suzhou is not None
    corners = book.border(suzhou)[:, :2]
    shanghai = book.in_force(query("shanghai"))
    assert shanghai is not None
    shared = {tuple(each) for each in corners.tolist()} & {
        tuple(each) for each in book.border(shanghai)[:, :2].tolist()
    }
    lon, lat = min(shared)
    for dealer in ("suzhou", "shanghai"):
        found = check(book, query(dealer), SiteEvidence("S", lon, lat))
        assert (found.verdict, found.signed_distance_m) == (Verdict.INSIDE, 0.0)


@pytest.mark.parametrize("adcode", ["310000", "320500", "320000", "650100"])
@pytest.mark.parametrize("dealer", ["suzhou", "shanghai", "ended", "nobody"])
def test_a_network_address_never_accuses(book: TerritoryBook, adcode: str, dealer: str) -> None:
    found = check(book, query(dealer), IpCityEvidence(adcode))
    assert found.verdict in (Verdict.INSIDE, Verdict.UNCERTAIN)
    assert (found.verdict is Verdict.INSIDE) == (adcode == CITIES.get(dealer))
    assert found.evidence is EvidenceKind.IP_CITY


def test_a_network_address_in_an_unknown_place_is_refused(book: TerritoryBook) -> None:
    with pytest.raises(UnknownAdcodeError):
        check(book, query(), IpCityEvidence("Atlantis"))


def test_no_location_is_an_answer(book: TerritoryBook) -> None:
    found = check(book, query(), None)
    assert (found.verdict, found.p_inside, found.evidence) == (Verdict.NO_LOCATION, None, EvidenceKind.NONE)


def test_no_contract_accuses_nobody_but_an_ended_one_allows_nothing(book: TerritoryBook) -> None:
    unknown = check(book, query("nobody"), phone(SUZHOU))
    assert (unknown.verdict, unknown.territory_version) == (Verdict.UNCERTAIN, None)
    assert reason(unknown, ReasonCode.NO_TERRITORY_IN_FORCE).parameters == {"dealer": "nobody"}
    assert check(book, query(days=-1), phone(SUZHOU)).territory_version is None
    ended = check(book, query("ended"), phone(SUZHOU))
    assert ended.verdict is Verdict.OUTSIDE
    assert reason(ended, ReasonCode.EMPTY_TERRITORY).parameters == {"dealer": "ended"}


def test_a_shifted_fix_is_moved_back_before_it_is_judged(book: TerritoryBook) -> None:
    place = (border_longitude(book) - 0.004, BORDER_LATITUDE)
    shifted = convert(*place, (Crs.WGS84, Crs.BD09), book.atoms.mainland())
    direct = check(book, query(), phone(place))
    moved = check(book, query(), phone((float(shifted[0][0]), float(shifted[1][0])), crs=Crs.BD09))
    assert moved.signed_distance_m == pytest.approx(direct.signed_distance_m, abs=0.01)
    unknown = check(book, query(), phone(place, crs=None))
    assert unknown.sigma_m is not None
    assert direct.sigma_m is not None
    assert unknown.sigma_m > direct.sigma_m + 250


def test_at_sea_the_map_ends(book: TerritoryBook) -> None:
    found = check(book, query("shanghai"), phone((125.0, 31.0)))
    assert (found.verdict, found.owner_atom) == (Verdict.OUTSIDE, None)
    assert reason(found, ReasonCode.OFF_MAP)


def test_many_are_the_same_as_one_by_one(book: TerritoryBook) -> None:
    scans: list[tuple[Query, Evidence | None]] = [
        (query(), phone(SUZHOU)),
        (query("shanghai"), None),
        (query("wuxi"), IpCityEvidence("320200")),
    ]
    assert check_many(book, scans) == [check(book, *scan) for scan in scans]


@pytest.mark.parametrize("accuracy", [-1.0, float("nan"), float("inf")])
def test_a_senseless_accuracy_is_refused(accuracy: float) -> None:
    with pytest.raises(CoordinateError, match="accuracy"):
        phone(SUZHOU, accuracy)
