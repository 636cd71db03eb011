"""Ingest's SQL, in named blocks: each begins with a line `-- name: <block>`."""

import re
from collections.abc import Mapping
from importlib import resources
from typing import Final, LiteralString, cast

_NAME: Final = re.compile(r"^-- name: ([a-z][a-z0-9_]*)\s*$", re.MULTILINE)


def _load() -> Mapping[str, LiteralString]:
    parts = _NAME.split((resources.files(__package__) / "queries.sql").read_text("utf-8"))
    # The file ships with this package; it is as literal as the code.
    return {name: cast("LiteralString", body.strip()) for name, body in zip(parts[1::2], parts[2::2], strict=True)}


QUERIES: Final = _load()
"""Each statement by the name of its block; read once, when the package is first used."""
