"""Who acts on cases from a page or a program, and over which connection."""

from trace_service.cases.machine import Actor
from trace_service.domain.roles import Role
from trace_service.store.connection import Connection, connect
from trace_service.web.auth.sessions import Session
from trace_service.web.context import Console


def actor_of(session: Session) -> Actor:
    """Return who acts in a session."""
    return Actor(session.brand, session.login, Role(session.role))


def database(console: Console) -> Connection:
    """Open a connection of one request's own, since a case is changed in one transaction."""
    return connect(console.settings.database_url.get_secret_value(), "console cases")
