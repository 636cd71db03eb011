"""An order held against what custody accepted for it."""

from collections import defaultdict

from trace_service.orders.model import Line, LineCount, Order, Reconciliation
from trace_service.orders.queries import SQL
from trace_service.orders.service import find
from trace_service.store.connection import Connection


def reconcile(connection: Connection, brand: str, number: str) -> Reconciliation:
    """Return what was ordered beside what was scanned, line by line; raises `OrderUnknownError`.

    Lines of one product are filled in their order; what exceeds the last of them stands on it. A unit with several
    products in it is named on each of their lines.
    """
    order = find(connection, brand, number)
    scanned: dict[str, dict[str, int]] = defaultdict(dict)
    for row in connection.execute(SQL["loaded"], {"brand": brand, "id": order.id}):
        scanned[row.gtin][row.scanned] = row.items
    lines = [count for gtin in _products(order) for count in _fill(_lines_of(order, gtin), scanned.pop(gtin, {}))]
    names = {
        row.gtin: row for row in connection.execute(SQL["product_names"], {"gtins": sorted(filter(None, scanned))})
    }
    surplus = []
    for gtin, units in sorted(scanned.items()):
        name = names.get(gtin)
        total = sum(units.values())
        surplus.append(
            LineCount(
                line=0,
                gtin=gtin,
                name_zh=name.name_zh if name else "",
                name_en=name.name_en if name else "",
                ordered=0,
                scanned=total,
                difference=total,
                codes=tuple(sorted(units)),
            )
        )
    agrees = not surplus and all(line.difference == 0 for line in lines)
    lines.sort(key=lambda each: each.line)
    return Reconciliation(id=order.id, state=order.state, agrees=agrees, lines=tuple(lines), surplus=tuple(surplus))


def _products(order: Order) -> list[str]:
    return list(dict.fromkeys(line.gtin for line in order.lines))


def _lines_of(order: Order, gtin: str) -> list[Line]:
    return [line for line in order.lines if line.gtin == gtin]


def _fill(lines: list[Line], units: dict[str, int]) -> list[LineCount]:
    rest = sorted(units.items())
    found = []
    for place, line in enumerate(lines):
        taken: list[tuple[str, int]] = []
        last = place == len(lines) - 1
        while rest and (last or sum(count for _, count in taken) + rest[0][1] <= line.items):
            taken.append(rest.pop(0))
        total = sum(count for _, count in taken)
        found.append(
            LineCount(
                line=line.line,
                gtin=line.gtin,
                name_zh=line.name_zh,
                name_en=line.name_en,
                ordered=line.items,
                scanned=total,
                difference=total - line.items,
                codes=tuple(code for code, _ in taken),
            )
        )
    return found
