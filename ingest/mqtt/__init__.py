"""MQTT 3.1.1 at QoS 1 as a worker needs it: received, and acknowledged in bulk once it is committed."""

from ingest.mqtt.lean import LeanConsumer

__all__ = ["LeanConsumer"]
