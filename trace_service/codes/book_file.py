"""Batches in a file, CSV or JSON, for whoever checks codes without a database."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from contracts.gs1 import check_digit
from contracts.tc20 import COUNTERS, EPOCHS
from trace_service.codes.book import Book, BookError, Entry
from trace_service.codes.values import parse_span

_LARGEST_BYTES: Final = 256 * 2**20
_COLUMNS: Final = ("batch", "gtin", "epoch", "start", "count")


class _Row(msgspec.Struct, frozen=True):
    """A batch as the file says it: `excluded` holds counters and ranges, as in `5 10-19` or `[[5, 5], [10, 19]]`.

    A batch whose `commissioned_at` is said to be null has no goods yet.
    """

    batch: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] | int
    gtin: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{8,14}$")]
    epoch: Annotated[int, msgspec.Meta(ge=0, lt=EPOCHS)]
    start: Annotated[int, msgspec.Meta(ge=0, lt=COUNTERS)]
    count: Annotated[int, msgspec.Meta(ge=1, le=COUNTERS)]
    excluded: str | list[tuple[int, int]] = ""
    commissioned_at: str | None = ""


def load_book(path: Path) -> Book:
    """Return the batches in a file; raises `BookError` with the row that is wrong."""
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise BookError(f"{path} is larger than {_LARGEST_BYTES >> 20} MB", advice="Split it by product.")
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise BookError(f"{path} cannot be read: {error.strerror}", advice="Check its name and permissions.") from error
    except UnicodeDecodeError as error:
        raise BookError(f"{path} is not UTF-8", advice="Save it as CSV in UTF-8.") from error
    rows = _json(text) if text.lstrip()[:1] in {"[", "{"} else _csv(text)
    entries = (_entry(f"{path}, row {number}", row) for number, row in rows)
    return Book(entry for entry in entries if entry is not None)


def _json(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the objects of an array, or one a line."""
    try:
        if text.lstrip().startswith("["):
            yield from enumerate(msgspec.json.decode(text, type=list[dict[str, Any]]), start=1)
            return
        for number, line in enumerate(text.splitlines(), start=1):
            if line.strip():
                yield number, msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise BookError(
            f"no JSON array of objects, nor one object a line: {error}", advice="See docs/codes.md for the format."
        ) from error


def _csv(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text), strict=True, skipinitialspace=True)
    lacking = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
    if lacking:
        raise BookError(
            f"the first row lacks {', '.join(lacking)}", advice=f"Begin the file with: {','.join(_COLUMNS)},excluded"
        )
    try:
        for row in reader:
            # A short row leaves None behind, a long one a list under the name None.
            yield reader.line_num, {name: value for name, value in row.items() if name and value is not None}
    except csv.Error as error:
        raise BookError(f"row {reader.line_num}: {error}", advice="Check the quotes in that row.") from error


def _entry(place: str, row: dict[str, Any]) -> Entry | None:
    try:
        values = msgspec.convert(row, _Row, strict=False)
    except msgspec.ValidationError as error:
        raise BookError(f"{place}: {error}", advice="Correct the row.") from error
    gtin, last = values.gtin.zfill(14), values.start + values.count - 1
    if check_digit(gtin[:-1]) != int(gtin[-1]):
        raise BookError(f"{place}: {values.gtin} has a wrong check digit", advice="Correct the row.")
    if last >= COUNTERS:
        raise BookError(f"{place}: counters end at {COUNTERS - 1}, not {last}", advice="Correct the row.")
    excluded = tuple(_spans(place, values.excluded)) if isinstance(values.excluded, str) else tuple(values.excluded)
    if values.commissioned_at is None:
        return None
    return Entry(str(values.batch), gtin, values.epoch, values.start, last, excluded)


def _spans(place: str, text: str) -> Iterator[tuple[int, int]]:
    for word in text.replace(";", " ").split():
        span = parse_span(word)
        if span is None:
            raise BookError(f"{place}: {word!r} is no range of counters", advice="Write ranges like: 5 10-19")
        yield span
