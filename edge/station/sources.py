"""The source that a station's settings name."""

from pathlib import Path

from edge.settings import StationSettings
from edge.sources.camera import Camera
from edge.sources.folder import WatchedFolder
from edge.sources.serial import SerialScanner
from edge.sources.source import Source


def open_source(settings: StationSettings) -> Source:
    """Return the source for `KIND:PLACE`; nothing is opened before its reads are asked for."""
    kind, _, place = settings.source.partition(":")
    if kind == "folder":
        return WatchedFolder(Path(place), expected=settings.expected)
    if kind == "serial":
        return SerialScanner(place)
    is_index = kind == "camera" and place.isdecimal()
    return Camera(int(place) if is_index else place, expected=settings.expected)
