"""From the outbox to the broker, until the application acknowledges."""

from edge.uplink.uplink import Uplink

__all__ = ["Uplink"]
