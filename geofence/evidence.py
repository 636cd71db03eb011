"""What is known of where a scan happened, from the strongest evidence to the weakest."""

from dataclasses import dataclass
from enum import StrEnum

from geofence.coordinates import Crs, validated
from geofence.errors import CoordinateError


class EvidenceKind(StrEnum):
    """The rungs of the ladder."""

    SITE = "site"
    GPS = "gps"
    CELL = "cell"
    IP_CITY = "ip_city"
    NONE = "none"


class Platform(StrEnum):
    """Who reported the accuracy radius: each means another share of the error by it."""

    ANDROID = "android"
    IOS = "ios"
    WEB = "web"


# Android reports the 68 % radius, iOS combines two sigmas, the W3C web interface reports the 95 % radius.
RADIUS_PER_SIGMA = {Platform.ANDROID: 1.51, Platform.IOS: 1.41, Platform.WEB: 2.45}
# An error that spans a quarter of the world says nothing of where somebody is; no device reports one.
LARGEST_ACCURACY_M = 5_000_000.0
# The widest cells of mobile networks.
LARGEST_CELL_M = 150_000.0


@dataclass(frozen=True, slots=True)
class SiteEvidence:
    """A store, warehouse or station whose registered WGS-84 position is taken as exact."""

    site_id: str
    lon: float
    lat: float

    def __post_init__(self) -> None:
        validated(self.lon, self.lat)


@dataclass(frozen=True, slots=True)
class GpsEvidence:
    """A fix with the platform's accuracy radius in metres; `crs` None means that the system is unknown."""

    lon: float
    lat: float
    accuracy_m: float
    platform: Platform
    crs: Crs | None = Crs.WGS84

    def __post_init__(self) -> None:
        validated(self.lon, self.lat)
        if not 0 <= self.accuracy_m <= LARGEST_ACCURACY_M:
            raise CoordinateError(
                f"accuracy is {self.accuracy_m} m", advice="Report a fix without accuracy as no position at all."
            )

    @property
    def device_sigma_m(self) -> float:
        """The standard deviation per axis, in metres."""
        return self.accuracy_m / RADIUS_PER_SIGMA[self.platform]


@dataclass(frozen=True, slots=True)
class CellEvidence:
    """A base station's area: anywhere within `radius_m` of a WGS-84 position, evenly."""

    lon: float
    lat: float
    radius_m: float

    def __post_init__(self) -> None:
        validated(self.lon, self.lat)
        if not (0 < self.radius_m <= LARGEST_CELL_M):
            raise CoordinateError(
                f"the radius of a base station is {self.radius_m} m",
                advice=f"Give metres above 0, at most {LARGEST_CELL_M:,.0f}.",
            )


@dataclass(frozen=True, slots=True)
class IpCityEvidence:
    """The division a network address was attributed to: somewhere in there, perhaps."""

    adcode: str


Evidence = SiteEvidence | GpsEvidence | CellEvidence | IpCityEvidence
