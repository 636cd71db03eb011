"""What the edge keeps until the application has acknowledged it."""

from edge.outbox.outbox import Outbox
from edge.outbox.store import Draft, Row, Settled

__all__ = ["Draft", "Outbox", "Row", "Settled"]
