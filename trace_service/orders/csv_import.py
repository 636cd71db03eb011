"""Orders in a CSV file: every problem is named with its row, and nothing is half done."""

import csv
import io
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from contracts.errors import ConfigurationError
from trace_service.orders.model import OrderDraft, OrderId

MAX_BYTES: Final = 10 * 1024 * 1024
_COLUMNS: Final = ("order", "version", "dealer", "from_site", "channel", "due", "line", "gtin", "quantity", "unit")
_NEEDED: Final = frozenset({"order", "dealer", "from_site", "line", "gtin", "quantity"})
_COMMON: Final = ("version", "dealer", "from_site", "channel", "due")
_SHOWN: Final = 20
_NUMBER: Final[TypeAdapter[str]] = TypeAdapter(OrderId)


class OrdersFileError(ConfigurationError):
    """A file of orders cannot be used; the message names every row that is wrong, up to 20."""

    code = "ORDERS_FILE"


def read_orders(data: bytes) -> dict[str, OrderDraft]:
    """Return the orders of a CSV file (UTF-8, with a header line) by their number; raises `OrdersFileError`."""
    if len(data) > MAX_BYTES:
        raise OrdersFileError(f"{len(data)} bytes are more than {MAX_BYTES}", advice="Split the file.")
    try:
        reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise OrdersFileError(f"no CSV in UTF-8: {error}", advice="Save it as 'CSV UTF-8'.") from error
    _require_columns(set(reader.fieldnames or ()))
    problems: list[str] = []
    grouped: dict[str, dict[str, Any]] = {}
    for place, row in enumerate(rows, start=2):
        _take_row(place, row, grouped, problems)
    drafts = {}
    for number, fields in grouped.items():
        place = fields.pop("row")
        try:
            drafts[number] = OrderDraft.model_validate(fields)
        except ValidationError as error:
            problems += [f"row {place} ({number}): {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
    if problems or not drafts:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise OrdersFileError("; ".join(problems[:_SHOWN] or ["no rows"]) + more, advice="Mend them; nothing was done.")
    return drafts


def _require_columns(found: set[str]) -> None:
    missing, strange = sorted(_NEEDED - found), sorted(found - set(_COLUMNS))
    if missing or strange:
        said = [f"lacks {', '.join(missing)}"] if missing else []
        said += [f"has {', '.join(strange)}, which nobody knows"] if strange else []
        raise OrdersFileError(f"the header {' and '.join(said)}", advice=f"Columns: {', '.join(_COLUMNS)}.")


def _take_row(place: int, row: dict[str, str | None], grouped: dict[str, dict[str, Any]], problems: list[str]) -> None:
    values = {name: (row.get(name) or "").strip() for name in _COLUMNS}
    if None in row:
        problems.append(f"row {place}: more cells than the header has")
        return
    try:
        number = _NUMBER.validate_python(values["order"])
    except ValidationError:
        problems.append(f"row {place}: order {values['order'][:64]!r} is no order number")
        return
    common = {name: values[name] for name in _COMMON if values[name]}
    known = grouped.setdefault(number, {"row": place, **common, "lines": []})
    differs = [name for name in _COMMON if known.get(name, "") != values[name]]
    if differs:
        problems.append(f"row {place} ({number}): {', '.join(differs)} differs from row {known['row']}")
    line = {name: values[name] for name in ("line", "gtin", "quantity", "unit") if values[name]}
    known["lines"].append(line)
