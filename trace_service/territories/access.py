"""Who asks, and the books that answer: a signed-in account or a partner's program, of one brand."""

import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from geofence.errors import UnknownAdcodeError
from geofence.maps import AtomMap
from geofence.territory import TerritoryBook
from trace_service.domain.roles import Role
from trace_service.domain.territories import BrandBook
from trace_service.processing.books import Books
from trace_service.store.connection import Connection, connect
from trace_service.tokens import PREFIX
from trace_service.web.context import Console, ConsoleOf
from trace_service.web.errors import BodyTooLargeError, BusyError
from trace_service.web.guards import bearer_token, require_equal, require_role, require_same_origin, session_of
from trace_service.web.tokens import require_scope


@dataclass(frozen=True, slots=True)
class Actor:
    """Whoever asks; `name` goes into records of what they did."""

    brand: str
    name: str


def actor(scope: str, *, role: Role | None = None) -> Callable[..., Awaitable[Actor]]:
    """Return a dependency: a partner's token with `scope`, or a session, of `role` where something is changed.

    A changing request with a cookie must prove its origin. Raises NotSignedInError, ScopeMissingError,
    RoleMissingError, ForgedRequestError.
    """

    async def actor_of(request: Request, console: ConsoleOf) -> Actor:
        token = bearer_token(request)
        if token.startswith(PREFIX):
            partner = await require_scope(scope)(request, console)
            return Actor(partner.brand, f"api:{partner.name}")
        session = await session_of(request, console)
        if role is not None:
            if not token:
                require_same_origin(request, console)
                require_equal(request.headers.get("x-csrf-token", ""), session.csrf)
            require_role(session, role)
        return Actor(session.brand, session.login)

    return actor_of


class TerritoryShelf:
    """The books of all brands, read again when something was recorded; safe to call from threads, and blocking."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._turn = threading.Lock()
        self._books: Books | None = None
        # One simulation at a time: each reads years of scans.
        self.simulating = threading.Lock()

    @property
    def atoms(self) -> AtomMap:
        """The map. Raises BusyError where none is installed."""
        atoms = self._console.places.atoms
        if atoms is None:
            raise BusyError("no map is installed", advice="Install the map package on the server.")
        return atoms

    def knows(self, adcode: str) -> bool:
        """Tell whether the map has a division."""
        try:
            return len(self.atoms.atom_indexes(adcode)) > 0
        except UnknownAdcodeError:
            return False

    def connect(self) -> Connection:
        """Open a connection for one request."""
        return connect(self._console.settings.database_url.get_secret_value(), "territories")

    def book(self, brand: str) -> BrandBook:
        """Return a brand's territories as recorded until now."""
        atoms = self.atoms
        with self._turn:
            if self._books is None:
                self._books = Books(atoms)
            with self.connect() as connection:
                found = self._books.current(connection).get(brand)
        return found or BrandBook(TerritoryBook(atoms, ()), {}, {})


def shelf_of(request: Request, console: ConsoleOf) -> TerritoryShelf:
    """Return the application's shelf."""
    state = request.app.state
    if not hasattr(state, "territory_shelf"):
        state.territory_shelf = TerritoryShelf(console)
    shelf: TerritoryShelf = state.territory_shelf
    return shelf


ShelfOf = Annotated[TerritoryShelf, Depends(shelf_of)]


async def body_of(request: Request, largest: int) -> bytes:
    """Return a request's body. Raises BodyTooLargeError for more than `largest` bytes, or where none are announced."""
    length = request.headers.get("content-length", "")
    if not length.isdecimal() or int(length) > largest:
        raise BodyTooLargeError("the request is too large or of unknown length", advice=f"At most {largest >> 20} MB.")
    return await request.body()
