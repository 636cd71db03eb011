"""Ending MQTT clients of tests."""

from paho.mqtt.client import Client

_HEARD = ("on_connect", "on_disconnect", "on_message", "on_publish", "on_subscribe")


def end(client: Client) -> None:
    """Disconnect, and let go of who is called: in a circle with them, its sockets may be collected unclosed."""
    client.disconnect()
    client.loop_stop()
    for each in _HEARD:
        setattr(client, each, None)
