"""Locks on units: whoever changes a unit, or a verdict on it, holds it and everything it was ever packed into.

Locks go from the items upwards, within a level in one order. Two batches can still meet head-on where one knows a
pallet that the other does not; PostgreSQL then ends one of them, and the worker tries that one again.
"""

import hashlib
from collections.abc import Collection

from trace_service.domain.events import LOGISTIC_PREFIX
from trace_service.store.connection import Connection
from trace_service.store.queries import SQL


def lock(connection: Connection, names: Collection[str]) -> None:
    """Lock every name until the end of the transaction."""
    keys = sorted(int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), signed=True) for name in names)
    connection.execute(SQL["lock"], {"keys": keys})


def lock_units(connection: Connection, units: Collection[str]) -> None:
    """Lock units and whatever they are known to have been packed into, reading anew after every wait."""
    held: set[str] = set()
    wanted = {unit for unit in units if not unit.startswith(LOGISTIC_PREFIX)}
    rest = set(units) - wanted
    if not wanted:
        wanted, rest = rest, set()
    while wanted:
        lock(connection, wanted)
        held |= wanted
        rows = connection.execute(SQL["parents"], {"units": sorted(wanted)}).fetchall()
        wanted = ({parent for (parent,) in rows} | rest) - held
        rest = set()
