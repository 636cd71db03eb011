"""Streams of observations for one detector alone, and what it makes of them."""

from collections.abc import Iterable

from test_detection_shops import AWAY_AT, CHANNEL, HOME_AT

from trace_service.detection.changes import Alert, Claim, Raised, Retracted
from trace_service.detection.detector import Detector
from trace_service.detection.ledger import Judged, Ledger
from trace_service.detection.network import Network
from trace_service.detection.observations import (
    Goods,
    Movement,
    Observation,
    Position,
    Shipment,
    Sighting,
    Source,
)
from trace_service.detection.settings import DAY_MS, Settings

START = 19_700


NETWORK = Network(CHANNEL)


def ms(day: float) -> int:
    return round((START + day) * DAY_MS)


def goods(case: int | str, **more: object) -> Goods:
    return Goods(unit=f"item {case}", case=f"case {case}", dealer="D1", chain=("D1",), batch="B1", **more)


def sighting(name: str, what: Goods, day: float, kind: str = "scan", **more: object) -> Sighting:
    position = more.pop("position", Position(source=Source.GPS, lat=AWAY_AT[0], lon=AWAY_AT[1], accuracy_m=20))
    return Sighting(
        key=name, event=name, kind=kind, goods=what, position=position, occurred_at=ms(day), received_at=ms(day),
        **{"device": f"phone {name}"} | more,
    )  # fmt: skip


def movement(name: str, what: Goods, day: float, kind: str, site: str = "D1", **more: object) -> Movement:
    at = HOME_AT if site == "D1" else AWAY_AT
    return Movement(
        key=name, event=name, kind=kind, goods=what, site_dealer=site, occurred_at=ms(day), received_at=ms(day),
        position=Position(source=Source.SITE, lat=at[0], lon=at[1], place=site), **more,
    )  # fmt: skip


def paper(name: str, cases: Iterable[int], day: float, **more: object) -> Shipment:
    ends = {"sender": "HQ", "receiver": "D1", "kind": "order"} | more
    packed = tuple(f"case {case}" for case in cases)
    return Shipment(
        key=name, departed_at=ms(day), received_at=ms(day), items=6 * len(packed), cases=packed,
        arrived_at=ends.pop("arrived_at", None), **ends,
    )  # fmt: skip


def play(detector: Detector, stream: list[Observation], until: float) -> tuple[list[Alert], list[Alert], list[Claim]]:
    """Return the alerts raised and taken back, and the leads, of one detector alone."""
    ledger, changes, leads = Ledger(Settings()), [], []
    day = START

    def settle(claims: Iterable[Claim], now: int) -> None:
        for claim in claims:
            leads.extend([claim] if claim.lead else [])
            changes.append(ledger.settle(claim, Judged(0.9, (0.0, 1.0), {}), now))

    for each in sorted(stream, key=lambda each: each.received_at):
        while day * DAY_MS < each.received_at:
            settle(detector.close_day(day * DAY_MS), day * DAY_MS)
            day += 1
        settle(detector.observe(each, each.received_at), each.received_at)
    while day < START + until:
        settle(detector.close_day(day * DAY_MS), day * DAY_MS)
        day += 1
    raised = [change.alert for change in changes if isinstance(change, Raised)]
    return raised, [change.alert for change in changes if isinstance(change, Retracted)], leads
