"""Issues a batch whose goods are made at once: allotted, commissioned, and all of its serials at hand."""

from typing import NamedTuple

from trace_service.codes.batches import Order, allot, commission
from trace_service.codes.queries import SQL
from trace_service.keys import KeyWrapper
from trace_service.store.connection import Connection


class IssuedBatch(NamedTuple):
    """A commissioned range of counters of one product and its serials, in the order of their counters."""

    id: int
    gtin: str
    epoch: int
    first: int
    serials: tuple[str, ...]


def issue_batch(connection: Connection, keys: KeyWrapper, gtin: str, count: int, lot: str) -> IssuedBatch:
    """Allot the next `count` counters of a product, commissioned at once, within the caller's transaction.

    No two batches of a product overlap, however many issue at the same time. Raises `BatchError` where the product
    is not registered or its brand has no active key.
    """
    brand = connection.execute(SQL["product_brand"], {"gtin": gtin}).fetchone()
    order = Order(brand[0] if brand else "nobody", gtin, count, lot)
    batch, codec = allot(connection, keys, order)
    commission(connection, batch.brand, batch.id)
    serials = codec.issue(gtin, batch.first, count)
    return IssuedBatch(batch.id, gtin, batch.epoch, batch.first, tuple(serials.astype(str).tolist()))
