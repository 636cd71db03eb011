"""Who an agent is to the broker: its name and its topics."""

from typing import NamedTuple

from contracts.topics import Kind, ack_topic, command_topic, event_topic


class Identity(NamedTuple):
    """A device at its site."""

    site: str
    device: str

    def events(self, kind: Kind) -> str:
        """Return the topic for events of a kind."""
        return event_topic(self.site, self.device, kind)

    @property
    def acks(self) -> str:
        """Where the application acknowledges."""
        return ack_topic(self.site, self.device)

    @property
    def commands(self) -> str:
        """Where the application commands."""
        return command_topic(self.site, self.device)
