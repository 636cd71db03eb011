"""Ingest's SQL, in named blocks: each begins with a line `-- name: <block>`."""

import re
from collections.abc import Iterator
from importlib import resources
from typing import Final, LiteralString, cast

_NAME: Final = re.compile(r"^-- name: ([a-z][a-z0-9_]*)\s*$", re.MULTILINE)
_FILES: Final = ("queries.sql", "upkeep.sql", "audit.sql")


def _load(file: str) -> Iterator[tuple[str, LiteralString]]:
    parts = _NAME.split((resources.files(__package__) / file).read_text("utf-8"))
    for name, body in zip(parts[1::2], parts[2::2], strict=True):
        # The file ships with this package; it is as literal as the code.
        yield name, cast("LiteralString", body.strip())


QUERIES: Final = dict(block for file in _FILES for block in _load(file))
"""Each statement by the name of its block; read once, when the package is first used."""
