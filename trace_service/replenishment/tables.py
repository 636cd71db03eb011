"""Proposals as tables for spreadsheets and purchasing systems."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import Any, Final, Literal

from starlette.responses import Response

from trace_service.channel.export import as_csv, as_excel

COLUMNS: Final = (
    "id", "kind", "state", "site", "to_site", "gtin", "dealer", "quantity", "proposed", "need_by", "p_without",
    "p_with", "cost", "confidence", "model", "reason", "created_at", "decided_by", "decided_at", "decision_code",
    "decision_note",
)  # fmt: skip
_EXCEL: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def table_of(rows: Sequence[Any], name: str, form: Literal["csv", "xlsx"]) -> Response:
    """Return rows of proposals as a file to save; `reason` is its code."""
    head = list(COLUMNS)
    if form == "csv":
        content, media = as_csv(head, _texts(rows)), "text/csv; charset=utf-8"
    else:
        content, media = as_excel({"proposals": (head, _values(rows))}), _EXCEL
    headers = {"Content-Disposition": f'attachment; filename="proposals-{name}.{form}"', "Cache-Control": "no-store"}
    return Response(content, media_type=media, headers=headers)


def _texts(rows: Sequence[Any]) -> Iterator[list[str]]:
    return ([_text(value) for value in row] for row in _values(rows))


def _values(rows: Sequence[Any]) -> Iterator[list[Any]]:
    """Yield numbers and days as such, for sums and filters; moments, which a spreadsheet knows no zone of, as text."""
    for row in rows:
        cells = [row.reason.get("code") if column == "reason" else getattr(row, column) for column in COLUMNS]
        yield [cell.isoformat() if isinstance(cell, datetime) else cell for cell in cells]


def _text(value: object) -> str:
    if value is None:
        return ""
    return value.isoformat() if isinstance(value, date) else str(value)
