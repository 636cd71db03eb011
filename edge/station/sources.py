"""The source that a station's settings name."""

from pathlib import Path

from edge.settings import StationSettings
from edge.sources.serial import SerialScanner
from edge.sources.source import Source


def open_source(settings: StationSettings) -> Source:
    """Return the source for `KIND:PLACE`; nothing is opened before its reads are asked for.

    Only a source of pictures loads what decodes them: it is half of an agent's memory.
    """
    kind, _, place = settings.source.partition(":")
    if kind == "serial":
        return SerialScanner(
            place,
            baud=settings.scanner_baud,
            prefix=settings.scanner_prefix,
            answers=settings.scanner_answers,
        )
    from edge.sources.camera import Camera  # noqa: PLC0415 - a scanner or shelf needs no OpenCV
    from edge.sources.folder import WatchedFolder  # noqa: PLC0415 - likewise

    if kind == "folder":
        return WatchedFolder(Path(place), expected=settings.expected)
    is_index = kind == "camera" and place.isdecimal()
    return Camera(int(place) if is_index else place, expected=settings.expected)
