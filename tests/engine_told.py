"""Prints everything that the engine says of a world folder, and of lots whose papers cross: run it as a process."""

import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from trace_service.backtest.feed import Feed
from trace_service.backtest.world import read_world
from trace_service.detection.changes import Claim
from trace_service.detection.detectors.lots import LotSkipDetector
from trace_service.detection.engine import Engine
from trace_service.detection.explaining.explanation import explain, facts_of
from trace_service.detection.network import Network
from trace_service.detection.observations import Goods, Movement, Observation, Position, Shipment, Sighting, Source
from trace_service.detection.settings import DAY_MS, Settings


def crossing(dealer: str, sender: str, place: str, lots: int) -> Iterator[Observation]:
    """Shipments to a dealer that a foreign shop has, then receipts that name two of them at once."""
    nowhere = Position(source=Source.NONE)
    for number in range(lots):
        name, at = f"LOT {number}", DAY_MS * (30 + number)
        goods = Goods(unit=f"case {name}", case=f"case {name}", dealer=dealer, shipment=name, chain=(dealer,))
        yield Shipment(
            key=name, kind="order", sender=sender, receiver=dealer, departed_at=at, received_at=at, items=6,
            cases=(f"case {name}",),
        )  # fmt: skip
        yield Sighting(
            key=f"seen {name}", event=f"seen {name}", kind="inspect", goods=goods, occurred_at=at, received_at=at,
            position=Position(source=Source.STORE, place=place),
        )  # fmt: skip
    for number in range(0, lots, 2):
        goods = Goods(unit="x", case="x", dealer=dealer, shipment=f"LOT {number + 1}", chain=(dealer,))
        yield Movement(
            key=f"read {number}", event=f"read {number}", kind="receive", goods=goods, site_dealer=dealer,
            position=nowhere, occurred_at=DAY_MS * 99, received_at=DAY_MS * 99, shipment=f"LOT {number}",
        )  # fmt: skip


def lots(network: Network) -> Iterator[Claim]:
    """What is claimed of lots whose papers cross."""
    members = [each.id for each in network.dealers.values() if not network.is_national(each.id, 0)]
    dealer, place = next(
        (one, other) for one in members for other in members
        if other not in (one, *network.lineage(one)) and one not in network.lineage(other)
    )  # fmt: skip
    detector = LotSkipDetector(network, Settings())
    for each in crossing(dealer, members[0], place, 24):
        yield from detector.observe(each, DAY_MS * 99)


def main(folder: Path) -> None:
    """Print a line a change or claim, and a line for what each alert says of itself."""
    read = read_world(folder, lambda _: None)
    network = Network(read.channel)
    engine = Engine(network)
    out = sys.stdout.buffer
    for observation in Feed(read, network):
        for change in engine.observe(observation):
            out.write(msgspec.json.encode([type(change).__name__, change]) + b"\n")
            out.write(msgspec.json.encode(explain(facts_of(change.alert))) + b"\n")
    out.write(msgspec.json.encode(engine.leads) + b"\n")
    out.write(b"".join(msgspec.json.encode(each) + b"\n" for each in lots(Network(read.channel))))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
