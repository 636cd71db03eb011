"""Tells what scanned texts are: whose code, issued or not, commissioned or not. One query for a whole batch."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from contracts.errors import CodeError
from contracts.gs1 import Identifier, parse
from contracts.tc20 import Profile, Tc20, split
from trace_service.codes.queries import SQL
from trace_service.domain.verification import Code, CodeState
from trace_service.keys import KeyWrapper
from trace_service.store.connection import Connection

_DATA_MATRIX = "]d2"
_MALFORMED = Code(CodeState.MALFORMED)


class Text(NamedTuple):
    """What a scanner read, with its AIM identifier."""

    code: str
    aim: str


def read_parent(text: str) -> str | None:
    """Return the unit that a parent's raw label names, or None; a label's AIM identifier is not passed on."""
    for aim in ("", _DATA_MATRIX):
        try:
            found = parse(text, aim)
        except CodeError:
            continue
        if found.key.startswith("/00/") or found.is_item:
            return found.key
    return None


def verify(connection: Connection, keys: KeyWrapper, texts: Iterable[Text]) -> dict[Text, Code]:
    """Return what each text is."""
    identified = {text: _identify(text) for text in set(texts)}
    items = {each.key: each for each in identified.values() if each and each.is_item}
    states = _verify_items(connection, keys, items) if items else {}
    return {text: _code(each, states) for text, each in identified.items()}


def _identify(text: Text) -> Identifier | None:
    try:
        return parse(text.code, text.aim)
    except CodeError:
        return None


def _code(identifier: Identifier | None, states: Mapping[str, Code]) -> Code:
    if identifier is None:
        return _MALFORMED
    if identifier.key.startswith("/00/"):
        return Code(CodeState.LOGISTIC, identifier.key)
    # A product or a place is no single unit.
    return states.get(identifier.key, _MALFORMED)


def _verify_items(connection: Connection, keys: KeyWrapper, items: Mapping[str, Identifier]) -> dict[str, Code]:
    gtins = sorted({item.gtin for item in items.values()})
    brands = dict(connection.execute(SQL["products"], {"gtins": gtins}).fetchall())
    rows = connection.execute(SQL["keys"], {"brands": sorted(set(brands.values()))}).fetchall()
    books = {
        (row.brand, row.epoch): Tc20(keys.unwrap(row.wrapped), row.brand, row.epoch, Profile(row.profile))
        for row in rows
        if row.state != "killed"
    }
    counters = {unit: _counter(item, brands.get(item.gtin), books) for unit, item in items.items()}
    issued = _issued(connection, items, counters)
    found = {unit: _state(unit, item, brands.get(item.gtin), issued.get(unit)) for unit, item in items.items()}
    killed = {(row.brand, row.epoch): row.killed_at for row in rows if row.state == "killed"}
    whose = {unit: (brands.get(item.gtin), _epoch(item)) for unit, item in items.items()} if killed else {}
    lost = {unit: killed[key] for unit, key in whose.items() if key in killed}
    moments = {"units": list(lost), "moments": list(lost.values())}
    for (unit,) in connection.execute(SQL["seen_before"], moments) if lost else ():
        found[unit] = replace(found[unit], state=CodeState.GENUINE, reduced=True)
    return found


def _epoch(item: Identifier) -> int | None:
    try:
        return split(item.serial).epoch
    except CodeError:
        return None


def _counter(item: Identifier, brand: str | None, books: Mapping[tuple[str, int], Tc20]) -> tuple[int, int] | None:
    """Return epoch and counter of an authentic serial."""
    epoch = _epoch(item)
    book = books.get((brand, epoch)) if brand is not None and epoch is not None else None
    counter = book.verify(item.gtin, item.serial) if book else None
    return None if epoch is None or counter is None else (epoch, counter)


def _issued(
    connection: Connection, items: Mapping[str, Identifier], counters: Mapping[str, tuple[int, int] | None]
) -> dict[str, Any]:
    """Return for each issued unit the row of its batch."""
    rows: list[dict[str, Any]] = [
        {"unit": unit, "gtin": items[unit].gtin, "epoch": pair[0], "counter": pair[1]}
        for unit, pair in counters.items()
        if pair is not None
    ]
    if not rows:
        return {}
    columns = {f"{name}s": [row[name] for row in rows] for name in ("unit", "gtin", "epoch", "counter")}
    return {row.unit: row for row in connection.execute(SQL["issued"], columns)}


def _state(unit: str, item: Identifier, brand: str | None, batch: Any) -> Code:  # noqa: ANN401  a row, or None
    if brand is None:
        return Code(CodeState.FOREIGN, unit, item.gtin)
    if batch is None:
        return Code(CodeState.UNKNOWN, unit, item.gtin, brand)
    state = CodeState.GENUINE if batch.commissioned else CodeState.NOT_COMMISSIONED
    return Code(state, unit, item.gtin, brand, lot=batch.lot, expires=batch.expires_on)
