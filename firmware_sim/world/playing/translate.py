"""A world's events in the words of devices and of EPCIS."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from msgspec.structs import replace

from contracts.messages import Activity, Platform, Position, Scan, encode_event
from firmware_sim.world.playing.folder import Told

LINK: Final = "https://id.gs1.org"
ACTIVITIES: Final[Mapping[str, Activity]] = {
    "pack": Activity.PACK,
    "ship": Activity.SHIP,
    "transfer": Activity.SHIP,
    "receive": Activity.RECEIVE,
    "sale": Activity.SELL,
    "inspect": Activity.INSPECT,
    "consumer_scan": Activity.CONSUMER,
}
DOCUMENTED: Final = frozenset({"pack", "void", "return", "rebind"})
"""What is told, or told as well, through the EPCIS interface: no station has a word for it."""
_CONTEXT: Final = "https://ref.gs1.org/standards/epcis/epcis-context.jsonld"


class Clock:
    """Maps the world's time to ours, `speed` times as fast, beginning with the first event now."""

    def __init__(self, first: datetime, now: float, speed: float) -> None:
        self._first, self._now, self._speed = first, now, speed

    def seconds(self, moment: datetime) -> float:
        """Return a moment of the world in seconds since our epoch."""
        return max(self._now + (moment - self._first).total_seconds() / self._speed, 0.0)


def link(code: str) -> str:
    """Return the Digital Link of an item's key, or of an SSCC."""
    return f"{LINK}{code}" if code.startswith("/") else f"{LINK}/00/{code}"


def scans(told: Told, clock: Clock, shops: Mapping[str, Position], *, at_home: bool) -> list[bytes]:
    """Return an event as encoded scans, one a code; a device that is `at_home` need not say where it is."""
    activity = ACTIVITIES.get(told.type)
    if activity is None:
        return []
    ts = round(clock.seconds(told.occurred_at) * 1000)
    position = None if at_home and told.source in {"site", "store"} else position_of(told, shops)
    first = Scan(
        ts=ts,
        code="-",
        symbology="QRCode",
        aim="]Q1",
        activity=activity,
        reference=told.shipment,
        to=told.to,
        operator={Activity.INSPECT: told.actor, Activity.CONSUMER: told.device_id}.get(activity, ""),
        parent=link(told.parent) if told.parent else "",
        position=position,
    )
    return [encode_event(replace(first, code=link(code))) for code in told.codes]


def position_of(told: Told, shops: Mapping[str, Position]) -> Position | None:
    """Return where an event was, if it says so."""
    if told.source == "store":
        return shops.get(told.place)
    if told.lat is None or told.lon is None:
        return None
    platform = Platform.ADDRESS if told.source == "ip" else Platform(told.platform)
    return Position(lon=told.lon, lat=told.lat, accuracy_m=told.accuracy_m, platform=platform)


def captured(told: Told, clock: Clock) -> list[dict[str, Any]]:
    """Return an event as EPCIS events."""
    match told.type:
        case "pack":
            return [_object(told, clock, "commissioning", action="ADD")]
        case "void":
            return [_object(told, clock, "decommissioning", action="DELETE")]
        case "return":
            return [_object(told, clock, "shipping", disposition="returned", **_number(told.shipment))]
        case "rebind":
            to = {"type": "owning_party", "destination": f"urn:codefence:dealer:{told.to_dealer}"}
            more = {"destinationList": [to], "codefence:approvers": list(told.approvers), **_number(told.event_id)}
            return [_object(told, clock, "urn:codefence:step:rebinding", **more)]
    return []


def document(events: list[dict[str, Any]]) -> dict[str, Any]:
    """Return an EPCIS document of these events."""
    return {
        "@context": [_CONTEXT, {"codefence": "urn:codefence:"}],
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": datetime.now(UTC).isoformat(),
        "epcisBody": {"eventList": events},
    }


def _object(told: Told, clock: Clock, step: str, *, action: str = "OBSERVE", **more: object) -> dict[str, Any]:
    at = datetime.fromtimestamp(clock.seconds(told.occurred_at), UTC).isoformat(timespec="milliseconds")
    event = {
        "type": "ObjectEvent",
        "eventTime": at,
        "eventTimeZoneOffset": "+08:00",
        "action": action,
        "bizStep": step,
        "epcList": [link(code) for code in told.codes],
        **more,
    }
    if told.place:
        event["readPoint"] = {"id": f"urn:codefence:site:{told.place}"}
    return event


def _number(text: str) -> dict[str, Any]:
    return {"bizTransactionList": [{"type": "desadv", "bizTransaction": f"urn:codefence:shipment:{text}"}]}
