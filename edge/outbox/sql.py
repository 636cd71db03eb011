"""The outbox's SQL, loaded once: the schema, and named statements from `queries.sql`."""

import re
from importlib import resources
from typing import Final

_FILES = resources.files(__package__)
SCHEMA: Final = _FILES.joinpath("schema.sql").read_text(encoding="utf-8")
_NAMED = re.compile(r"^-- name: (\w+)\n(.*?)(?=^-- name: |\Z)", re.MULTILINE | re.DOTALL)
QUERIES: Final = dict(_NAMED.findall(_FILES.joinpath("queries.sql").read_text(encoding="utf-8")))
