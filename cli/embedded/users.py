"""Who may do what on the broker: devices speak for themselves alone, and only ingest acknowledges and commands."""

from cli.embedded.broker import BrokerUser
from contracts.topics import ack_topic, command_topic, event_filters, partition

INGEST = "ingest"
INGEST_ORDERS = "ingest-orders"


def device_user(site: str, device: str, password: str) -> BrokerUser:
    """Return a device's account: it publishes its own events and hears its own acknowledgements and commands."""
    return BrokerUser(
        name=device,
        password=password,
        publish=(f"v1/{site}/p{partition(device)}/{device}/#",),
        subscribe=(ack_topic(site, device), command_topic(site, device)),
    )


def ingest_user(password: str) -> BrokerUser:
    """Return ingest's account: it hears every event and is alone in writing acknowledgements and commands."""
    return BrokerUser(
        name=INGEST,
        password=password,
        publish=("v1/+/ack/+", "v1/+/cmd/+"),
        subscribe=tuple(event_filters()),
    )
