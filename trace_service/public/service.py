"""The public part of the web application: its own few connections, so that strangers cannot starve the console."""

import time
from contextlib import AbstractContextManager
from typing import Annotated, Final

from fastapi import Depends, Request
from prometheus_client import CollectorRegistry, Counter
from psycopg.rows import namedtuple_row
from psycopg_pool import ConnectionPool

from trace_service.keys import KeyWrapper
from trace_service.public.limits import Allowance, Visitors, network_of
from trace_service.public.queries import SQL
from trace_service.settings import TraceSettings
from trace_service.store.connection import Connection

_CONNECTIONS: Final = 4
_WAIT_SECONDS: Final = 2.0
_TIDY_SECONDS: Final = 60.0


class PublicService:
    """What the public handlers work with; `origin` is the scheme and host on printed labels."""

    def __init__(self, settings: TraceSettings, registry: CollectorRegistry) -> None:
        self.keys = KeyWrapper(settings.key_encryption_key)
        self.origin = f"https://{settings.label_host.lower()}"
        self.allowance = Allowance(time.monotonic)
        self.visitors = Visitors(time.monotonic)
        self.answers = Counter(
            "codefence_public_answers", "Answers to strangers who looked a code up.", ["answer"], registry=registry
        )
        self._tidy_at = 0.0
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            settings.database_url.get_secret_value(),
            min_size=0,
            max_size=_CONNECTIONS,
            timeout=_WAIT_SECONDS,
            open=False,
            kwargs={
                "autocommit": True,
                "row_factory": namedtuple_row,
                "application_name": "codefence-public",
                "options": "-c role=codefence_public -c timezone=UTC -c statement_timeout=5000",
            },
            name="public",
        )

    def open(self) -> None:
        """Begin to connect when the first stranger comes."""
        self._pool.open()

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()

    def tidy(self, connection: Connection) -> None:
        """Delete some look-ups of more than 400 days ago, now and then: a visitor waits for no more than a few."""
        now = time.monotonic()
        if now >= self._tidy_at:
            self._tidy_at = now + _TIDY_SECONDS
            connection.execute(SQL["expire_lookups"])

    def connection(self) -> AbstractContextManager[Connection]:
        """Lend a connection; raises PoolTimeout when all have been busy for two seconds."""
        return self._pool.connection()


def service_of(request: Request) -> PublicService:
    """Return the application's public part."""
    service: PublicService = request.app.state.public
    return service


ServiceOf = Annotated[PublicService, Depends(service_of)]


def asker_of(request: Request) -> str:
    """Return who asks, as far as limits go: behind a trusted proxy the address that it forwards, else the peer's."""
    return network_of(request.client.host) if request.client else ""
