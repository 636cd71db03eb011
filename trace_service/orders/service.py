"""Orders are placed, changed, cancelled and moved on here, each in one transaction with its history and its webhook."""

from collections.abc import Sequence
from typing import Any

from trace_service.orders.errors import OrderConflictError, OrderInvalidError, OrderStateError, OrderUnknownError
from trace_service.orders.model import FOLLOWS, By, Line, Order, OrderDraft, Placed, State, as_json
from trace_service.orders.queries import SQL
from trace_service.store.connection import Connection, one
from trace_service.webhooks import enqueue

PAGE = 50


def place(connection: Connection, brand: str, number: str, draft: OrderDraft, actor: str) -> Placed:
    """Create an order, or change it by a higher version; the same version again with the same content is no news.

    Raises `OrderInvalidError`, `OrderConflictError` (an older version, or other content under the same one) and
    `OrderStateError` (loading has begun).
    """
    with connection.transaction():
        connection.execute(SQL["lock_order"], {"brand": brand, "id": number})
        known = _find(connection, brand, number)
        if known is None:
            _require_known_parties(connection, brand, draft)
            connection.execute(SQL["insert_order"], {"brand": brand, "id": number, "version": draft.version})
            _write_version(connection, brand, number, draft, actor)
            return _placed(connection, (brand, number), "created", actor)
        if draft.version <= known.version:
            _require_same(connection, known, draft)
            return Placed(outcome="unchanged", order=known)
        _require_not_begun(connection, known)
        _require_known_parties(connection, brand, draft)
        _write_version(connection, brand, number, draft, actor)
        connection.execute(SQL["advance_version"], {"brand": brand, "id": number, "version": draft.version})
        return _placed(connection, (brand, number), "changed", actor)


def cancel(connection: Connection, brand: str, number: str, actor: str, reason: str = "") -> Order:
    """Cancel an order that nobody has begun to load; a cancelled one stays so. Raises `OrderStateError`."""
    with connection.transaction():
        connection.execute(SQL["lock_order"], {"brand": brand, "id": number})
        known = find(connection, brand, number)
        if known.state is State.CANCELLED:
            return known
        _require_not_begun(connection, known)
        return move(connection, known, State.CANCELLED, By(actor, reason))


def acknowledge(connection: Connection, brand: str, number: str, actor: str) -> Order:
    """Take note that the ERP knows how the order ended. Raises `OrderStateError` before it has."""
    with connection.transaction():
        connection.execute(SQL["lock_order"], {"brand": brand, "id": number})
        known = find(connection, brand, number)
        if known.state in {State.OPEN, State.LOADING}:
            raise OrderStateError(f"{number} is {known.state}", advice="Acknowledge it once it is closed or cancelled.")
        if known.acknowledged_at is None:
            connection.execute(SQL["acknowledge"], {"brand": brand, "id": number})
            _write_history(connection, known, known.state, By(actor, "acknowledged"))
        return find(connection, brand, number)


def move(connection: Connection, known: Order, state: State, by: By) -> Order:
    """Take an order to another state, in the caller's transaction and under its lock; to its own state is no news.

    Raises `OrderStateError` where that state cannot follow.
    """
    if state is known.state:
        return known
    if state not in FOLLOWS[known.state]:
        raise OrderStateError(f"{known.id} is {known.state} and cannot become {state}")
    connection.execute(SQL["advance_state"], {"brand": known.brand, "id": known.id, "state": state.value})
    _write_history(connection, known, state, by)
    moved = find(connection, known.brand, known.id)
    enqueue(connection, known.brand, f"order.{state.value}", {"order": as_json(moved), "reason": by.reason})
    return moved


def find(connection: Connection, brand: str, number: str) -> Order:
    """Return an order with its lines; raises `OrderUnknownError`."""
    known = _find(connection, brand, number)
    if known is None:
        raise OrderUnknownError(f"{brand} has no order {number}", advice="Order numbers are in capitals.")
    return known


def lock(connection: Connection, brand: str, number: str) -> None:
    """Hold an order until the end of the transaction."""
    connection.execute(SQL["lock_order"], {"brand": brand, "id": number})


def orders(
    connection: Connection,
    brand: str,
    states: Sequence[State] | None = None,
    before: str | None = None,
    limit: int = PAGE,
) -> list[Order]:
    """Return orders with their lines, newest first, those placed before the order `before`."""
    wanted = None if states is None else [state.value for state in states]
    query = {"brand": brand, "states": wanted, "before": before, "limit": limit}
    rows = [row._asdict() for row in connection.execute(SQL["orders"], query)]
    return _with_lines(connection, brand, rows)


def counts(connection: Connection, brand: str) -> dict[str, int]:
    """Return how many orders are in each state."""
    return dict(connection.execute(SQL["order_counts"], {"brand": brand}).fetchall())


def history(connection: Connection, brand: str, number: str) -> list[Any]:
    """Return an order's states in the order in which they were recorded."""
    return connection.execute(SQL["history"], {"brand": brand, "id": number}).fetchall()


def _find(connection: Connection, brand: str, number: str) -> Order | None:
    row = connection.execute(SQL["order"], {"brand": brand, "id": number}).fetchone()
    return _with_lines(connection, brand, [row._asdict()])[0] if row else None


def _with_lines(connection: Connection, brand: str, rows: list[dict[str, Any]]) -> list[Order]:
    lines: dict[str, list[Line]] = {row["id"]: [] for row in rows}
    for line in connection.execute(SQL["lines"], {"brand": brand, "ids": list(lines)}):
        fields = line._asdict()
        lines[fields.pop("order_id")].append(Line(**fields))
    return [Order(**row, lines=tuple(lines[row["id"]])) for row in rows]


def _require_same(connection: Connection, known: Order, draft: OrderDraft) -> None:
    query = {"brand": known.brand, "id": known.id, "version": draft.version}
    row = connection.execute(SQL["version_content"], query).fetchone()
    if draft.version < known.version:
        raise OrderConflictError(
            f"{known.id} is at version {known.version}, {draft.version} is older", advice="Send a higher version."
        )
    if row is None or bytes(row.content) != draft.content:
        raise OrderConflictError(
            f"version {draft.version} of {known.id} was placed with other content", advice="Send a higher version."
        )


def _require_not_begun(connection: Connection, known: Order) -> None:
    begun = one(connection, SQL["is_loading"], {"brand": known.brand, "id": known.id}).exists
    if known.state is not State.OPEN or begun:
        state = State.LOADING if known.state is State.OPEN else known.state
        raise OrderStateError(
            f"{known.id} is {state}, it cannot be changed any more",
            advice="Place another order for what is missing; goods too many come back as a return.",
        )


def _require_known_parties(connection: Connection, brand: str, draft: OrderDraft) -> None:
    found = one(connection, SQL["parties"], {"brand": brand, "dealer": draft.dealer, "site": draft.from_site})
    unknown = [f"dealer {draft.dealer}"] if not found.dealer else []
    unknown += [f"site {draft.from_site}"] if not found.site else []
    query = {"brand": brand, "gtins": sorted({line.gtin for line in draft.lines})}
    unknown += [f"product {row.gtin}" for row in connection.execute(SQL["foreign_gtins"], query)]
    if unknown:
        raise OrderInvalidError(f"{brand} has no {', no '.join(unknown)}", advice="Register it first.")


def _write_version(connection: Connection, brand: str, number: str, draft: OrderDraft, actor: str) -> None:
    common = {"brand": brand, "id": number, "version": draft.version}
    row = {**common, **draft.model_dump(exclude={"lines", "version"}), "content": draft.content, "source": actor}
    connection.execute(SQL["insert_version"], row)
    with connection.cursor() as cursor:
        cursor.executemany(SQL["insert_line"], [{**common, **line.model_dump()} for line in draft.lines])


def _placed(connection: Connection, key: tuple[str, str], outcome: str, actor: str) -> Placed:
    order = find(connection, *key)
    _write_history(connection, order, order.state, By(actor, outcome))
    topic = "order.accepted" if outcome == "created" else "order.changed"
    enqueue(connection, order.brand, topic, {"order": as_json(order)})
    return Placed(outcome=outcome, order=order)


def _write_history(connection: Connection, order: Order, state: State, by: By) -> None:
    row = {"brand": order.brand, "id": order.id, "version": order.version, "state": state.value}
    connection.execute(SQL["insert_history"], {**row, "actor": by.actor, "reason": by.reason[:500], "at": by.at})
