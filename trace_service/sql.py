"""SQL in named blocks: each begins with a line `-- name: <block>`; lines of comment below it say what it is for."""

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import LiteralString, cast

_NAME = re.compile(r"^-- name: ([a-z][a-z0-9_]*)\s*$", re.MULTILINE)


@cache
def load_queries(package: str) -> Mapping[str, LiteralString]:
    """Return the blocks of `queries.sql` in a package, by name. A name given twice raises ValueError."""
    text = (resources.files(package) / "queries.sql").read_text("utf-8")
    parts = _NAME.split(text)
    names, bodies = parts[1::2], parts[2::2]
    if len(set(names)) != len(names):
        raise ValueError(f"{package}/queries.sql names a block twice")
    # The file ships with the package; it is as literal as the code.
    return {name: cast("LiteralString", body.strip()) for name, body in zip(names, bodies, strict=True)}
