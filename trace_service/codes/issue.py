"""Issues a batch: a range of counters in one row, from which the serials are computed."""

from typing import NamedTuple

from contracts.errors import ConfigurationError
from contracts.tc20 import Tc20
from trace_service.keys import KeyWrapper
from trace_service.store.connection import Connection, one
from trace_service.store.queries import SQL


class Batch(NamedTuple):
    """A commissioned range of counters of one product and its serials, in the order of their counters."""

    gtin: str
    epoch: int
    first: int
    serials: tuple[str, ...]


def issue_batch(connection: Connection, keys: KeyWrapper, gtin: str, count: int, lot: str) -> Batch:
    """Allot the next `count` counters of a product, commissioned at once, within the caller's transaction.

    No two batches of a product overlap, however many issue at the same time. Raises `ConfigurationError` where the
    product is not registered or its brand has no active key.
    """
    connection.execute(SQL["product_lock"], {"gtin": gtin})
    brand = connection.execute(SQL["product_brand"], {"gtin": gtin}).fetchone()
    if brand is None:
        raise ConfigurationError(f"no product {gtin}", advice="Register the product before issuing its codes.")
    key = connection.execute(SQL["active_key"], {"brand": brand[0]}).fetchone()
    if key is None:
        raise ConfigurationError(f"{brand[0]} has no active code key", advice="Add a master key of a new epoch.")
    (first,) = one(connection, SQL["next_counter"], {"gtin": gtin})
    row = {"brand": brand[0], "gtin": gtin, "epoch": key.epoch, "first": first, "count": count, "lot": lot}
    connection.execute(SQL["insert_batch"], row)
    issuer = Tc20(keys.unwrap(key.wrapped), brand[0], key.epoch)
    return Batch(gtin, key.epoch, first, tuple(issuer.issue(gtin, counter) for counter in range(first, first + count)))
