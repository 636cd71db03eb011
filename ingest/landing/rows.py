"""Dead letters as rows, in the order of the columns that `queries.sql` copies."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from ingest.landing.decode import Decoded, Fault

Row = tuple[object, ...]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
LETTER_TYPES: Final = ("timestamptz", "text", "bytea", "text", "uuid", "int8", "int8", "text", "text", "text")
"""The column types of a dead letter."""


def moment(milliseconds: int) -> datetime:
    """Return milliseconds since the epoch as an aware datetime, exactly."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


def letter_rows(letters: Iterable[tuple[Decoded, Fault]]) -> list[Row]:
    """Return the rows of the dead letters; what PostgreSQL's text cannot hold is spelt out."""
    return [
        (
            moment(message.received_at),
            storable(message.topic),
            fault.payload,
            message.device or None,
            UUID(message.boot) if message.boot else None,
            fault.first,
            fault.last,
            fault.reason,
            storable(fault.detail),
            fault.sqlstate,
        )
        for message, fault in letters
    ]


def storable(text: str) -> str:
    """Return a text with what PostgreSQL's cannot hold spelt out."""
    return text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()
