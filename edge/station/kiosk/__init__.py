"""The station's own screen: a page on loopback that says one word, legible at two metres."""

from edge.station.kiosk.screen import Screen
from edge.station.kiosk.server import Kiosk

__all__ = ["Kiosk", "Screen"]
