"""Which batch and counter stand behind a label, whether or not the batch is commissioned."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

from contracts.errors import CodeError
from contracts.tc20 import Profile, Tc20, split
from trace_service.codes.check import read_item
from trace_service.codes.queries import SQL
from trace_service.keys import KeyWrapper
from trace_service.store.connection import Connection

_AT_ONCE = 1000
Place = tuple[int, int]
"""A batch and a counter of it."""


def counters_of(
    connection: Connection, keys: KeyWrapper, brand: str, texts: Iterable[str]
) -> Iterator[tuple[str, Place | None]]:
    """Yield each text with its place, or with None where it is no issued and unscrapped code of the brand."""
    rows = connection.execute(SQL["keys"], {"brands": [brand]}).fetchall()
    codecs = {row.epoch: Tc20(keys.unwrap(row.wrapped), brand, row.epoch, Profile(row.profile)) for row in rows}
    remaining = iter(texts)
    while piece := list(islice(remaining, _AT_ONCE)):
        places = _places(connection, codecs, piece)
        yield from ((text, places.get(text)) for text in piece)


def _places(connection: Connection, codecs: Mapping[int, Tc20], texts: Sequence[str]) -> dict[str, Place]:
    columns: dict[str, list[object]] = {"units": [], "gtins": [], "epochs": [], "counters": []}
    counters = {}
    for text in set(texts):
        item = read_item(text)
        codec = codecs.get(_epoch(item.serial)) if item is not None else None
        counter = codec.verify(item.gtin, item.serial) if item is not None and item.gtin and codec is not None else None
        if item is not None and codec is not None and counter is not None:
            counters[text] = counter
            for name, value in zip(columns, (text, item.gtin, codec.epoch, counter), strict=True):
                columns[name].append(value)
    rows = connection.execute(SQL["issued"], columns) if counters else ()
    return {row.unit: (row.id, counters[row.unit]) for row in rows}


def _epoch(serial: str) -> int:
    try:
        return split(serial).epoch
    except CodeError:
        return -1
