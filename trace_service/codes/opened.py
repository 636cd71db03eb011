"""Opens the database and the keys' wrapper for one command, as the settings say."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trace_service.bootstrap import load_settings
from trace_service.keys import KeyWrapper
from trace_service.store.connection import Connection, connect


@contextmanager
def opened(name: str) -> Iterator[tuple[Connection, KeyWrapper]]:
    """Yield a connection of the least-privileged role and the wrapper; `name` shows in pg_stat_activity."""
    settings = load_settings()
    with connect(settings.database_url.get_secret_value(), name) as connection:
        yield connection, KeyWrapper(settings.key_encryption_key)


def database_is_set() -> bool:
    """Whether the settings name a database, by environment or by a file of secrets."""
    return "TRACE_DATABASE_URL" in os.environ or Path("/run/secrets/trace_database_url").exists()
