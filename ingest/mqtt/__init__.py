"""A lean MQTT 3.1.1 client for one job: receive at QoS 1, acknowledge in bulk what is committed."""

from ingest.mqtt.consumer import LeanConsumer

__all__ = ["LeanConsumer"]
