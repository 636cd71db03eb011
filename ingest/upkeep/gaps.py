"""Watches the holes in what was received: asks the device for what is missing, then tells a person.

A hole that becomes smaller is being filled and is left alone. One that stands still for `limit` while its device is
heard of is asked for, and again after twice, four times, … as long.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from psycopg import Connection

from contracts.messages import Resend, encode_command
from contracts.topics import command_topic
from ingest.commands import Order
from ingest.queries import QUERIES

ASKED_BEFORE_ALERT: Final = 4
_GAPS: Final = 100
_RANGES: Final = 20

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Watch:
    """What one look found: orders to publish, and how many gaps were asked for and are open, or alerted."""

    orders: Sequence[Order]
    open: int
    alerted: int


def watch(connection: Connection, limit: timedelta, now: datetime) -> Watch:
    """Bring the table of gaps up to date, inside the caller's transaction.

    Commit it only once the orders are published: asking twice does no harm, noting what was never asked does.
    """
    for device, boot, first, last, asked, closed in connection.execute(QUERIES["shrink_gaps"], {"now": now}):
        if closed and asked:
            log.info(
                "a gap is closed", action="ingest.gap_closed", device=device, boot=boot.hex, first=first, last=last
            )
    connection.execute(QUERIES["forget_quiet_gaps"])
    connection.execute(QUERIES["find_gaps"], {"now": now})
    parameters = {"now": now, "limit": limit, "patience": ASKED_BEFORE_ALERT, "most": _GAPS}
    orders: list[Order] = []
    for site, device, boot, missing, asked, alerted in connection.execute(QUERIES["due_gaps"], parameters):
        ranges = [(hole.lower, hole.upper - 1) for hole in missing]
        said = {"device": device, "boot": boot.hex, "ranges": ranges[:_RANGES], "asked": asked}
        if alerted:
            log.error("events are missing and nobody sends them", action="ingest.gap_alert", **said)
        else:
            log.warning("asking for missing events", action="ingest.gap", **said)
        orders += [
            Order(command_topic(site, device), encode_command(Resend(boot=boot.hex, first=first, last=last)))
            for first, last in ranges[:_RANGES]
        ]
    row = connection.execute(QUERIES["count_gaps"]).fetchone()
    asked_for, alerted_now = row or (0, 0)
    return Watch(orders, asked_for, alerted_now)
