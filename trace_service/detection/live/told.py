"""Tells a brand's engine what became different: the same observation twice is told once."""

from collections.abc import Iterable, Sequence
from hashlib import blake2b

import msgspec

from trace_service.detection.live.feed import kind_of, put
from trace_service.detection.live.queries import SQL
from trace_service.detection.observations import Observation, Withdrawn
from trace_service.store.connection import Connection


def tell(connection: Connection, brand: str, observations: Sequence[Observation]) -> int:
    """Queue what the brand's engine does not know yet, in the order given; return how many that is."""
    latest = {(each.key, kind_of(each)): each for each in observations}
    if not latest:
        return 0
    query = {
        "brand": brand,
        "keys": [key for key, _ in latest],
        "kinds": [kind for _, kind in latest],
        "digests": [_digest(each) for each in latest.values()],
    }
    news = {(row.key, row.kind) for row in connection.execute(SQL["told"], query)}
    put(connection, brand, [each for key, each in latest.items() if key in news])
    return len(news)


def withdraw(connection: Connection, brand: str, keys: Iterable[str], received_at: int) -> None:
    """Take back what was told under the given keys."""
    wanted = sorted(set(keys))
    if wanted:
        rows = connection.execute(SQL["untold"], {"brand": brand, "keys": wanted}).fetchall()
        put(
            connection,
            brand,
            [Withdrawn(key=key, received_at=received_at) for key in sorted({row.key for row in rows})],
        )


def _digest(observation: Observation) -> int:
    # When it was made is no part of what was observed.
    content = msgspec.json.encode(observation).replace(b'"received_at":%d' % observation.received_at, b"")
    return int.from_bytes(blake2b(content, digest_size=8).digest(), "big", signed=True)
