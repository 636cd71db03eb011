"""A world folder as far as it is played: its events in the order of their arrival, and rows of its tables.

The folder is trusted: `codefence backtest` is what checks one.
"""

import csv
import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, cast

import msgspec

from contracts.errors import ConfigurationError


class Told(msgspec.Struct, frozen=True):
    """One event of `events.jsonl`; what an event of its type does not have is empty."""

    event_id: str
    type: str
    occurred_at: datetime
    received_at: datetime
    device_id: str = ""
    actor: str = ""
    codes: tuple[str, ...] = ()
    source: str = "none"
    place: str = ""
    lat: float | None = None
    lon: float | None = None
    accuracy_m: float = 50.0
    platform: str = "web"
    parent: str = ""
    shipment: str = ""
    to: str = ""
    from_dealer: str = ""
    to_dealer: str = ""
    approvers: tuple[str, ...] = ()


def events(folder: Path) -> Iterator[Told]:
    """Yield the events; raises `ConfigurationError` naming the line that is none."""
    decoder = msgspec.json.Decoder(Told)
    with _open(folder, "events.jsonl") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                yield decoder.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise ConfigurationError(
                    f"{folder}/events.jsonl, line {number}: {error}", advice="codefence backtest checks a folder."
                ) from error


def rows(folder: Path, name: str) -> Iterator[dict[str, str]]:
    """Yield the rows of a table."""
    with _open(folder, name) as stream:
        yield from csv.DictReader(line.decode() for line in stream)


@contextmanager
def _open(folder: Path, name: str) -> Iterator[BinaryIO]:
    plain, packed = folder / name, folder / f"{name}.gz"
    try:
        raw = plain.open("rb") if plain.exists() else packed.open("rb")
    except OSError as error:
        raise ConfigurationError(
            f"{folder} has no {name}", advice="Write a folder with: codefence world generate FOLDER"
        ) from error
    with raw, raw if plain.exists() else gzip.GzipFile(fileobj=raw) as stream:
        yield cast("BinaryIO", stream)
