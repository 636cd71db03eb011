"""Batches: ranges of counters of one product, one row each, whatever their size."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from psycopg import errors
from psycopg.types.multirange import Multirange
from psycopg.types.range import Range

from contracts.errors import ConfigurationError
from contracts.gs1 import item_key
from contracts.tc20 import COUNTERS, Profile
from contracts.tc20_bulk import BulkTc20
from trace_service.codes.queries import SQL
from trace_service.keys import KeyWrapper
from trace_service.store.connection import Connection, one

Spans = tuple[tuple[int, int], ...]
"""Ranges of counters, each from its first to its last."""


class BatchError(ConfigurationError):
    """A batch cannot be allotted, commissioned or reduced as asked."""

    code = "BATCH_REFUSED"


@dataclass(frozen=True, slots=True)
class Order:
    """What a new batch shall be; `epoch` and `start` are chosen by the service where they are not given."""

    brand: str
    gtin: str
    count: int
    lot: str
    produced: date | None = None
    expires: date | None = None
    epoch: int | None = None
    start: int | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as it is recorded; its counters are `first` to `first + count - 1`."""

    id: int
    brand: str
    gtin: str
    epoch: int
    first: int
    count: int
    lot: str
    produced_on: date
    expires_on: date | None
    commissioned_at: datetime | None
    excluded: Spans


def allot(connection: Connection, keys: KeyWrapper, order: Order) -> tuple[Batch, BulkTc20]:
    """Record a batch that nobody else's overlaps, within the caller's transaction; return it with its serials' codec.

    Its labels may be printed now and are worth nothing until it is commissioned. Raises `BatchError` where the
    product or key is not there, or a counter of a given start is taken.
    """
    brand = connection.execute(SQL["product_brand"], {"gtin": order.gtin}).fetchone()
    if brand is None or brand[0] != order.brand:
        raise BatchError(
            f"{order.brand} has no product {order.gtin}", advice="Register the product before issuing its codes."
        )
    key = _key(connection, order)
    connection.execute(SQL["product_lock"], {"gtin": order.gtin})
    first = order.start if order.start is not None else one(connection, SQL["next_counter"], {"gtin": order.gtin})[0]
    if first + order.count > COUNTERS:
        raise BatchError(f"counters end at {COUNTERS - 1}", advice="Issue fewer codes.")
    identity = _insert(connection, {**asdict(order), "epoch": key.epoch, "first": first})
    codec = BulkTc20(keys.unwrap(key.wrapped), order.brand, key.epoch, Profile(key.profile))
    return find(connection, order.brand, identity), codec


def _key(connection: Connection, order: Order) -> Any:  # noqa: ANN401  a row
    key = connection.execute(SQL["active_key"], {"brand": order.brand, "epoch": order.epoch}).fetchone()
    if key is None:
        which = "no active code key" if order.epoch is None else f"no code key of epoch {order.epoch}"
        raise BatchError(
            f"{order.brand} has {which}", advice=f"Make one: codefence codes keys rotate --tenant {order.brand}"
        )
    if key.state != "active":
        state = "killed" if key.state == "killed" else "only verified since a newer one began"
        raise BatchError(f"epoch {key.epoch} is {state}", advice="Leave --epoch out to use the active one.")
    return key


def _insert(connection: Connection, row: dict[str, Any]) -> int:
    try:
        with connection.transaction():
            return int(one(connection, SQL["insert_batch"], row)[0])
    except errors.ExclusionViolation as error:
        other = one(connection, SQL["taken_by"], row)
        raise BatchError(
            f"counters {row['first']} to {row['first'] + row['count'] - 1} of {row['gtin']} overlap batch {other.id}, "
            f"which has {other.first} to {other.last}",
            advice="Leave --start out to take the next free ones.",
        ) from error
    except errors.CheckViolation as error:
        wrong = {
            "batch_lot_is_gs1": "a lot has 1 to 20 characters that AI (10) may hold",
            "batch_dates": "goods do not expire before they are produced",
        }
        name = error.diag.constraint_name or ""
        raise BatchError(wrong.get(name, name), advice="Correct the lot or the dates.") from error


def find(connection: Connection, brand: str, identity: int) -> Batch:
    """Return a brand's batch; raises `BatchError` where the brand has none of that number."""
    row = connection.execute(SQL["batch"], {"batch": identity, "brand": brand}).fetchone()
    if row is None:
        raise BatchError(f"{brand} has no batch {identity}", advice="Check the number that `codes issue` printed.")
    return Batch(**{**row._asdict(), "excluded": spans(row.excluded)})


def commission(connection: Connection, brand: str, identity: int, *, unprinted: Spans = ()) -> int:
    """Turn the printed labels of a batch into goods; return how many. What was scrapped or not printed stays out.

    Runs in a transaction of its own. Raises `BatchError` where the batch was commissioned before.
    """
    with connection.transaction():
        row = connection.execute(SQL["lock_batch"], {"batch": identity, "brand": brand}).fetchone()
        if row is not None and row.commissioned_at is not None:
            raise BatchError(
                f"batch {identity} was commissioned at {row.commissioned_at:%Y-%m-%d %H:%M} UTC",
                advice="Take labels out of it with: codefence codes scrap",
            )
        batch = find(connection, brand, identity)
        if unprinted:
            exclude(connection, batch, unprinted, "not printed")
        connection.execute(SQL["commission"], {"batch": identity})
        batch = find(connection, brand, identity)
        return batch.count - sum(last - first + 1 for first, last in batch.excluded)


def scrap(connection: Connection, keys: KeyWrapper, batch: Batch, ranges: Spans, reason: str) -> int:
    """Take labels out of a batch for good, in one transaction; return how many were still in it.

    Raises `BatchError` where a counter lies outside the batch, or where custody has seen one of the items: goods
    that are on their way are decommissioned, never scrapped as labels.
    """
    with connection.transaction():
        present = one(connection, SQL["lock_batch"], {"batch": batch.id, "brand": batch.brand})
        if present.commissioned_at is not None:
            _refuse_seen(connection, keys, batch, ranges)
        return exclude(connection, batch, ranges, reason)


def exclude(connection: Connection, batch: Batch, ranges: Spans, reason: str) -> int:
    """Note labels of a batch as out of it; return how many were still in it. The caller holds the batch's lock."""
    last = batch.first + batch.count - 1
    for low, high in ranges:
        if not batch.first <= low <= high <= last:
            raise BatchError(
                f"counters {low} to {high} are not within batch {batch.id}, which has {batch.first} to {last}",
                advice="Check the range.",
            )
    row = {"batch": batch.id, "counters": multirange(ranges), "reason": reason}
    return int(one(connection, SQL["exclude"], row)[0])


def codec_of(connection: Connection, keys: KeyWrapper, batch: Batch) -> BulkTc20:
    """Return what issues a batch's serials; raises `BatchError` where its key was killed."""
    key = one(connection, SQL["key"], {"brand": batch.brand, "epoch": batch.epoch})
    if key.state == "killed":
        raise BatchError(f"the key of epoch {batch.epoch} is killed", advice="Issue a new batch.")
    return BulkTc20(keys.unwrap(key.wrapped), batch.brand, batch.epoch, Profile(key.profile))


def product_name(connection: Connection, gtin: str) -> str:
    """Return the Chinese name of a registered product."""
    return str(one(connection, SQL["product_name"], {"gtin": gtin})[0])


def _refuse_seen(connection: Connection, keys: KeyWrapper, batch: Batch, ranges: Spans) -> None:
    codec = codec_of(connection, keys, batch)
    for low, high in ranges:
        for serials in codec.chunks(batch.gtin, low, high - low + 1):
            units = [item_key(batch.gtin, serial) for serial in serials.astype(str).tolist()]
            seen = connection.execute(SQL["seen"], {"units": units}).fetchone()
            if seen is not None:
                raise BatchError(
                    f"{seen.unit} is no spare label: custody has seen the item",
                    advice="Scrap labels that are on no goods; an item leaves custody by being decommissioned.",
                )


def multirange(ranges: Iterable[tuple[int, int]]) -> Multirange[int]:
    """Return ranges, each from its first to its last, as PostgreSQL's int8multirange."""
    return Multirange([Range(first, last + 1, "[)") for first, last in ranges])


def spans(stored: Multirange[int]) -> Spans:
    """Return a stored int8multirange as ranges, each from its first to its last."""
    return tuple((each.lower, each.upper - 1) for each in stored if each.lower is not None and each.upper is not None)
