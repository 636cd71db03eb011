"""Named blocks of `queries.sql`, loaded once."""

import re
from importlib import resources
from typing import LiteralString

_BLOCK = re.compile(r"^-- name: (\w+)\n(.*?)(?=^-- name: |\Z)", re.MULTILINE | re.DOTALL)


def _load() -> dict[str, LiteralString]:
    # The file ships with this package; it is as literal as the code.
    text: LiteralString = resources.files(__package__).joinpath("queries.sql").read_text("utf-8")
    blocks: list[tuple[LiteralString, LiteralString]] = _BLOCK.findall(text)
    return dict(blocks)


SQL = _load()
