"""Units that came by other ways than scans, left for the worker to count."""

from collections.abc import Collection

from trace_service.domain.events import Source
from trace_service.stock.queries import SQL
from trace_service.store.connection import Connection


def queue_moves(connection: Connection, moved: Collection[tuple[str, str]], cause: Source) -> None:
    """Leave the counting to the worker: what came by other ways than scans."""
    if moved:
        sites, units = zip(*sorted(moved), strict=True)
        query = {"sites": list(sites), "units": list(units), **cause._asdict()}
        connection.execute(SQL["queue_moves"], query)
