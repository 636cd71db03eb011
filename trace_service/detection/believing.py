"""What of an observation no detector may rest on: moments that cannot be, places that are not on the earth.

Feeders know more and correct more; this is what the engine does with whatever is left.
"""

from typing import Final

from msgspec import structs

from trace_service.detection.observations import Binding, Movement, Observation, Position, Sighting, Source
from trace_service.detection.settings import DAY_MS

_AHEAD_MS: Final = DAY_MS // 24
# A late paper has a sighting of long ago observed anew: that is no wrong clock.
_OLDEST_MS: Final = 3 * 365 * DAY_MS
_NORTH: Final = 90.0
_EAST: Final = 180.0


def believed(observation: Observation, now: int) -> Observation:
    """Return an observation as it may be believed at a moment (milliseconds).

    What lies after `now` or years before it is taken to have happened when it arrived, and says of itself that it is
    not `dated`; a position off the earth is none.
    """
    if not isinstance(observation, Sighting | Movement | Binding):
        return observation
    found = observation
    if not now - _OLDEST_MS <= found.occurred_at <= now + _AHEAD_MS:
        found = structs.replace(found, occurred_at=now)
        if not isinstance(found, Binding):
            found = structs.replace(found, dated=False)
    if not isinstance(found, Binding) and not _on_earth(found.position):
        found = structs.replace(found, position=Position(source=Source.NONE, place=found.position.place))
    return found


def _on_earth(position: Position) -> bool:
    if position.lat is None or position.lon is None:
        return True
    return -_NORTH <= position.lat <= _NORTH and -_EAST <= position.lon <= _EAST
