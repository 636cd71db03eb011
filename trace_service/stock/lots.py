"""Lots of items that no event names one of: their codes tell the batch that they were issued with."""

from collections.abc import Iterable

from trace_service.codes.verify import Text, verify
from trace_service.keys import KeyWrapper
from trace_service.stock.queries import SQL
from trace_service.store.connection import Connection

# A unit's key is the path of its Digital Link; whose host it is says nothing.
_HOST = "https://id.gs1.org"


def name_lots(connection: Connection, keys: KeyWrapper, items: Iterable[tuple[str, str]]) -> None:
    """Note the lots of those (site, unit) pairs in the ledger that have none yet, as far as a batch knows them."""
    sites, units = zip(*items, strict=True)
    wanted = {"sites": list(sites), "units": list(units)}
    rows = connection.execute(SQL["lotless"], wanted).fetchall()
    if not rows:
        return
    codes = verify(connection, keys, {Text(f"{_HOST}{row.unit}", "") for row in rows})
    lots = {code.unit: f"/01/{code.gtin}/10/{code.lot}" for code in codes.values() if code.lot is not None}
    found = [row for row in rows if row.unit in lots]
    if found:
        named = {"sites": [row.site for row in found], "units": [row.unit for row in found]}
        connection.execute(SQL["name_lots"], {**named, "lots": [lots[row.unit] for row in found]})
