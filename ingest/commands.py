"""Speaks to devices: a connection of its own for each call, since a worker's belongs to the worker's thread."""

import secrets
import time
from collections.abc import Sequence
from typing import Final, NamedTuple

from paho.mqtt.client import Client, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from ingest.mqtt.consumer import Account, BrokerError

_ANSWER_SECONDS: Final = 10.0
_STEP_SECONDS: Final = 0.1
_KEEPALIVE_SECONDS: Final = 30


class Order(NamedTuple):
    """One command; a retained one reaches devices that subscribe later, and an empty retained one lifts it."""

    topic: str
    payload: bytes
    retain: bool = False


def publish(account: Account, orders: Sequence[Order]) -> None:
    """Return once the broker has confirmed every order; raises `BrokerError` if it does not within 10 s."""
    client = Client(
        CallbackAPIVersion.VERSION2,
        f"{account.client_id[:48]}-{secrets.token_hex(4)}",
        protocol=MQTTv311,
        reconnect_on_failure=False,
    )
    client.username_pw_set(account.user, account.password)
    if account.tls is not None:
        client.tls_set_context(account.tls)
    client.max_queued_messages_set(0)
    deadline = time.monotonic() + _ANSWER_SECONDS
    try:
        client.connect(account.host, account.port, _KEEPALIVE_SECONDS)
    except OSError as error:
        raise BrokerError(f"no broker answers at {account.host}:{account.port}: {error}") from error
    try:
        while not client.is_connected():
            _step(client, deadline)
        sent = [client.publish(order.topic, order.payload, qos=1, retain=order.retain) for order in orders]
        while not all(one.is_published() for one in sent):
            _step(client, deadline)
    finally:
        client.disconnect()
        client.loop(0)


def _step(client: Client, deadline: float) -> None:
    code = client.loop(_STEP_SECONDS)
    if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
        raise BrokerError(
            f"the broker ends the connection: {code.name}",
            advice="Check user and password, or try again: another command may have come as the same user.",
        )
    if time.monotonic() > deadline:
        raise BrokerError(f"the broker did not confirm within {_ANSWER_SECONDS:g} s")
