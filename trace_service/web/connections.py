"""Connections of requests that change something in one transaction."""

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends

from trace_service.store.connection import Connection, connect
from trace_service.web.context import ConsoleOf


def connection_of(console: ConsoleOf) -> Iterator[Connection]:
    """Yield a connection of its own for one request, since what it asks for is done in one transaction."""
    with connect(console.settings.database_url.get_secret_value(), "web") as connection:
        yield connection


ConnectionOf = Annotated[Connection, Depends(connection_of)]
