"""What containers hold that may keep them from leaving: products and lots, and single units that were ever held."""

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

from trace_service.domain.custody import HOLDS, Custody
from trace_service.domain.events import Event, Step
from trace_service.domain.states import is_single, product_of
from trace_service.store.connection import Connection
from trace_service.store.queries import SQL

Since = Mapping[str, datetime]
# A container counts for all that was ever packed into it, so no shipment of it is too early to be judged again.
EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)


def remember(connection: Connection, events: Collection[Event], changed: Since) -> dict[str, datetime]:
    """Note what new events put into containers; return the containers that this may keep, and since when."""
    members: set[tuple[str, str]] = set()
    packed: set[str] = set()
    for event in events:
        product = product_of(event.unit)
        if event.step in HOLDS and is_single(event.unit):
            members.add((event.unit, event.unit))
        if event.step is Step.PACK and event.parent:
            packed.add(event.unit)
            members |= {(event.unit, product)} if product else set()
        if event.lot:
            members.add((event.unit, event.lot))
    rows = _insert(connection, members, packed)
    classes = sorted({member for _, member in rows if not is_single(member)})
    held = {unit for (unit,) in connection.execute(SQL["held_among"], {"units": classes})} if classes else set()
    found: dict[str, datetime] = {}
    for container, member in rows:
        if member in held:
            found[container] = EVER
        elif is_single(member) and member in changed:
            found[container] = min(changed[member], found.get(container, changed[member]))
    return found


def remember_held(connection: Connection, custody: Custody, units: Iterable[str]) -> dict[str, datetime]:
    """Note units that turned out to be held, by what they took along; return the containers that this may keep."""
    since = {unit: moment for unit in units if is_single(unit) and (moment := custody.held_since(unit))}
    rows = _insert(connection, {(unit, unit) for unit in since}, ()) if since else []
    return {container: since[member] for container, member in rows if container != member and member in since}


def _insert(
    connection: Connection, members: Collection[tuple[str, str]], packed: Collection[str]
) -> list[tuple[str, str]]:
    if not members and not packed:
        return []
    ordered = sorted(members)
    query = {"units": [unit for unit, _ in ordered], "members": [each for _, each in ordered], "packed": sorted(packed)}
    return [(row.container, row.member) for row in connection.execute(SQL["insert_members"], query)]
