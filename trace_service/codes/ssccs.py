"""Gives out running SSCCs, each once, whoever prints them."""

from psycopg import errors

from trace_service.codes.batches import BatchError
from trace_service.codes.queries import SQL
from trace_service.store.brands import is_brand
from trace_service.store.connection import Connection, one

BODY_DIGITS = 17


def allot_ssccs(connection: Connection, brand: str, prefix: str, count: int, start: int | None = None) -> int:
    """Record that `count` SSCCs after `prefix` are printed, in a transaction of its own; return the first number.

    `prefix` is the extension digit with the company prefix; `start` is the first number, by default the one after
    all that were given out. Raises `BatchError` where the brand is unknown, or a number is taken or has no room.
    """
    room = 10 ** (BODY_DIGITS - len(prefix))
    base = int(prefix) * room
    with connection.transaction():
        if not is_brand(connection, brand):
            raise BatchError(f"there is no brand {brand}", advice="Check --tenant.")
        connection.execute(SQL["lock_ssccs"])
        (following,) = one(connection, SQL["next_sscc_body"], {"first": base, "stop": base + room})
        first = start if start is not None else following - base
        if first + count > room:
            raise BatchError(f"after {prefix} an SSCC has room for {room} numbers", advice="Use another prefix.")
        try:
            with connection.transaction():
                row = {"brand": brand, "first": base + first, "count": count}
                connection.execute(SQL["insert_sscc_range"], row)
        except errors.ExclusionViolation as error:
            raise BatchError(
                f"of the SSCCs after {prefix} with numbers {first} to {first + count - 1} some were given out before",
                advice=f"Leave --start out; the next free number is {following - base}.",
            ) from error
        return int(first)
