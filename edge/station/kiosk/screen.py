"""What the screen shows, and who waits for it to change."""

import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from edge.manifest import Manifest
from edge.station.desk import Desk
from edge.station.order import Order

_RECENT: Final = 8
_MINUTE_MS: Final = 60_000


class Screen:
    """The newest state of a station as JSON; `tell` is called under the station's lock, the rest from any thread."""

    def __init__(self, site: str, device: str, is_online: Callable[[], bool], clock: Callable[[], int]) -> None:
        self._names = {"site": site, "device": device}
        self._is_online = is_online
        self._clock = clock
        self._changed = threading.Condition()
        self._number = 0
        self._state = b"{}"
        self._recent: deque[Mapping[str, Any]] = deque(maxlen=_RECENT)
        self._moments: deque[int] = deque(maxlen=600)
        self._reads = self._unread = self._seen = 0

    def tell(self, news: Mapping[str, Any], desk: Desk, order: Order) -> None:
        """Show what was told about a read or a command, and the order's countdown after it."""
        now = self._clock()
        if news["n"] != self._seen:
            self._seen = news["n"]
            self._reads += 1
            self._unread += news["verdict"] == "NO_READ"
            self._moments.append(now)
            self._recent.appendleft({**news, "at": now})
        state = {**self._names, **_desk_state(desk, order), "last": news, "recent": list(self._recent), "now": now}
        state |= {
            "online": self._is_online(),
            "hub": desk.dock.hub_confirms(),
            "reads": self._reads,
            "unread": self._unread,
            "per_minute": sum(moment > now - _MINUTE_MS for moment in self._moments),
        }
        with self._changed:
            self._number += 1
            self._state = msgspec.json.encode({**state, "number": self._number})
            self._changed.notify_all()

    def wait(self, after: int, seconds: float) -> tuple[int, bytes]:
        """Return the state that follows number `after`, or the present one after `seconds`."""
        with self._changed:
            self._changed.wait_for(lambda: self._number > after, seconds)
            return self._number, self._state


def _desk_state(desk: Desk, order: Order) -> dict[str, Any]:
    manifest, known, package = desk.dock.manifest, desk.dock.order_of(order), desk.package
    state = desk.dock.state
    return {
        "activity": order.activity.value,
        "order": order.reference,
        "to": known.dealer if known else order.to,
        "dealer": {"zh": known.dealer_zh, "en": known.dealer_en} if known else None,
        "lines": [_line(line, manifest) for line in desk.dock.lines(order)],
        "operator": state.operator,
        "shift": state.shift,
        "mark": state.mark,
        "stopped": msgspec.to_builtins(state.stopped) if state.stopped else None,
        "enforces": desk.dock.enforces,
        "package": {"kind": package.kind, "size": package.size, "count": len(package.members), "label": package.label}
        if package
        else None,
        "manifest": {"version": manifest.head.version, "expires": manifest.head.expires_at} if manifest else None,
    }


def _line(line: Any, manifest: Manifest | None) -> dict[str, Any]:  # noqa: ANN401
    product = manifest.product(line.gtin) if manifest else None
    name = {"zh": product.name_zh, "en": product.name_en} if product else {"zh": line.gtin, "en": line.gtin}
    return {**msgspec.to_builtins(line), "name": name}
