"""Locks on units: a writer holds what it changes, and shares whatever that was ever packed into.

An inherited binding has no row of its own for a unique index to guard, so a pallet and an item inside it meet at the
pallet's lock. All locks are taken in one order, containers before items, so that writers wait and never deadlock.
"""

import hashlib
from collections.abc import Collection
from typing import Final

import psycopg

from trace_service.domain.events import LOGISTIC_PREFIX
from trace_service.store.connection import Connection
from trace_service.store.queries import SQL

# One lock a unit would not fit into the server's table of locks: a writer of more units has all of them to itself.
MANY_UNITS: Final = 2_000
_EVERYBODY = "custody"


def lock(connection: Connection, names: Collection[str]) -> None:
    """Lock every name until the end of the transaction."""
    connection.execute(SQL["lock"], {"keys": sorted(map(_key, names))})


def lock_units(connection: Connection, changed: Collection[str], read: Collection[str] = ()) -> None:
    """Lock the changed units, and share all that these and the read ones were ever packed into.

    What is packed meanwhile is found by reading the paths again once the locks are held; should a path have grown, all
    are given up and taken anew. The caller holds a transaction; the locks last until its end.
    """
    wanted = _paths(connection, [*changed, *read])
    if len(wanted) > MANY_UNITS:
        lock(connection, {_EVERYBODY})
        return
    while True:
        with connection.transaction() as attempt:
            _take(connection, wanted, set(changed))
            found = _paths(connection, [*changed, *read])
            if found <= wanted:
                return
            wanted = found
            # This gives the locks back: taking more while holding them could end in a deadlock.
            raise psycopg.Rollback(attempt)


def _take(connection: Connection, units: Collection[str], changed: Collection[str]) -> None:
    ordered = sorted((not unit.startswith(LOGISTIC_PREFIX), _key(unit), unit not in changed) for unit in units)
    keys = [_key(_EVERYBODY), *(key for _, key, _ in ordered)]
    connection.execute(SQL["lock_units"], {"keys": keys, "shared": [True, *(shared for _, _, shared in ordered)]})


def _paths(connection: Connection, units: Collection[str]) -> set[str]:
    return {unit for (unit,) in connection.execute(SQL["path_above"], {"units": sorted(set(units))})}


def _key(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), signed=True)
