"""Rows as JSON: one parameter carries a whole batch into `jsonb_to_recordset`."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

import msgspec


def recordset(rows: Iterable[object]) -> str:
    """Return rows (mappings or dataclasses) as a JSON array; times as ISO 8601, numbers without loss."""
    return msgspec.json.encode(list(rows)).decode()


def key_columns(sources: Iterable[tuple[str, UUID | str, int]]) -> dict[str, list[Any]]:
    """Return message numbers as the arrays `devices`, `boots` and `seqs`."""
    found = list(sources)
    return {
        "devices": [device for device, _, _ in found],
        "boots": [boot for _, boot, _ in found],
        "seqs": [seq for _, _, seq in found],
    }
