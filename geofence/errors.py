"""Errors of the geofence library, each with a stable code and advice for whoever runs it."""

from typing import ClassVar


class GeofenceError(Exception):
    """Base of every error raised by this library.

    `code` never changes between releases; `advice` says what to do about it.
    """

    code: ClassVar[str] = "geofence"

    def __init__(self, message: str, *, advice: str = "") -> None:
        super().__init__(message)
        self.advice = advice


class CoordinateError(GeofenceError):
    """A longitude, latitude, accuracy or reference system that cannot be used."""

    code = "geofence_coordinate"


class MapUnavailableError(GeofenceError):
    """No administrative map is installed, or its file is missing."""

    code = "geofence_map_unavailable"


class MapFormatError(GeofenceError):
    """A map file does not hold what its format promises."""

    code = "geofence_map_format"


class UnknownAdcodeError(GeofenceError):
    """A division code that the loaded map does not know."""

    code = "geofence_unknown_adcode"


class TerritoryError(GeofenceError):
    """A territory version that contradicts itself or its parent."""

    code = "geofence_territory"


class PolicyError(GeofenceError):
    """Thresholds that leave no room between inside and outside."""

    code = "geofence_policy"
