"""What the geofence says of a world's sightings: each held against its dealer's territory when it happened."""

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache

from geofence.evidence import Evidence, GpsEvidence, Platform, SiteEvidence
from geofence.finding import Finding
from geofence.maps.atom_map import AtomMap
from geofence.maps.atoms import Level
from geofence.maps.catalogue import DEFAULT_MAP, open_map
from geofence.territory import Query, TerritoryBook, TerritoryVersion
from geofence.verdicts.check import check_many
from trace_service.detection.network import COUNTRY, Network, Territory
from trace_service.detection.observations import Sighting, Source

KNOWN = datetime(2100, 1, 1, tzinfo=UTC)


@cache
def _map() -> AtomMap:
    return open_map(DEFAULT_MAP)


def moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def divisions(territory: Territory) -> list[str]:
    """The divisions of a territory as the map knows them: the country is its provinces."""
    if COUNTRY in territory.adcodes:
        return sorted(each.adcode for each in _map().records(Level.PROVINCE))
    return list(territory.adcodes)


def findings(network: Network, sightings: Iterable[Sighting]) -> dict[str, Finding]:
    """The geofence's findings on sightings of goods that a dealer is entitled to, by event."""
    book = TerritoryBook(_map(), [_version(each) for each in network.channel.territories])
    asked = [each for each in sightings if each.goods.dealer in network.dealers]
    scans = [(Query(each.goods.dealer or "", moment(each.occurred_at), KNOWN), _evidence(each)) for each in asked]
    return dict(zip((each.event for each in asked), check_many(book, scans), strict=True))


def _version(territory: Territory) -> TerritoryVersion:
    start = moment(territory.valid_from)
    end = moment(territory.valid_to) if territory.valid_to else None
    codes = tuple(divisions(territory))
    return TerritoryVersion(dealer=territory.dealer, adcodes=codes, valid_from=start, valid_to=end, recorded_at=start)


def city_of(finding: Finding) -> str | None:
    """The city of a finding's county, as the worker writes it."""
    if finding.owner_atom is None:
        return None
    record = _map().record(finding.owner_atom)
    return record.parent if record.level is Level.COUNTY and record.parent else record.adcode


def _evidence(seen: Sighting) -> Evidence | None:
    """A position by network address is none to the geofence."""
    at = seen.position
    if at.lat is None or at.lon is None or at.source is Source.IP:
        return None
    if at.source is Source.GPS:
        return GpsEvidence(at.lon, at.lat, at.accuracy_m or 0.0, Platform.WEB)
    return SiteEvidence(at.place or "", at.lon, at.lat)
