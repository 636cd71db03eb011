"""A scanning station: reads become scans, kept before anyone hears a verdict."""

from edge.station.station import Station

__all__ = ["Station"]
