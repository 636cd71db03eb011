"""A delivery to a simulated store: cases are received by scan at its back door, and then put up on its shelf."""

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Final, LiteralString

import msgspec
import psycopg
from msgspec import Struct

from cli.installation import Installation
from contracts.errors import ConfigurationError, SourceError
from contracts.messages import Activity, Scan, encode_event
from firmware_sim.fleet.behaviour import Behaviour
from firmware_sim.fleet.device import Device
from firmware_sim.fleet.journal import Journal
from firmware_sim.fleet.link import Account
from firmware_sim.shelves.hands import Hand, Moved, ask

_BROKER_SECONDS: Final = 60.0
_LEDGER_SECONDS: Final = 180.0
_CASES: Final[LiteralString] = """
    SELECT DISTINCT ON (binding.unit) binding.unit FROM trace.binding
    JOIN trace.stock ON stock.dealer = binding.dealer AND stock.site = %(site)s AND stock.gtin = %(gtin)s
    JOIN trace.containment ON containment.parent = binding.unit AND containment.valid_to IS NULL
        AND split_part(containment.child, '/', 3) = %(gtin)s
    WHERE binding.valid_to IS NULL AND binding.unit LIKE '/00/%%' AND NOT EXISTS (
        SELECT FROM trace.stock_unit AS item WHERE item.unit = containment.child AND item.received_at IS NOT NULL)
    ORDER BY binding.unit LIMIT %(cases)s
"""
_DOOR: Final[LiteralString] = """
    INSERT INTO landing.device (id, site, kind) VALUES (%s, %s, 'station') ON CONFLICT DO NOTHING
"""
_RECEIVED: Final[LiteralString] = """
    SELECT count(item.unit), count(*) FROM trace.containment
    LEFT JOIN trace.stock_unit AS item ON item.unit = child AND item.site = %(site)s AND item.received_at IS NOT NULL
    WHERE parent = ANY(%(cases)s) AND valid_to IS NULL
"""


class Delivery(Struct, frozen=True):
    """What came: cases by their keys, the items in them by the ledger, and what then stands on the channel."""

    cases: list[str]
    items: int
    moved: Moved


def deliver(installation: Installation, hand: Hand, cases: int, wait_seconds: float) -> Delivery:
    """Receive `cases` of the channel's product that were shipped to the store's dealer, wait, and put them up.

    Raises `ConfigurationError` for a place that is none or has nothing on its way, `SourceError` where the system does
    not answer.
    """
    world = msgspec.json.decode(installation.market.read_bytes())
    shelf = next((each for each in world["shelves"] if hand.place in {each["device"], each["site"]}), None)
    channel = next((each for each in (shelf or {"channels": ()})["channels"] if each["channel"] == hand.channel), None)
    if shelf is None or channel is None:
        raise ConfigurationError("no such simulated channel", advice="Name a place such as S-CHENGDU-01/1.")
    site = str(shelf["site"])
    with psycopg.connect(installation.owner_dsn, autocommit=True) as connection:
        query = {"site": site, "gtin": channel["gtin"], "cases": cases}
        found = [str(unit) for (unit,) in connection.execute(_CASES, query)]
        if not found:
            raise ConfigurationError(
                f"nothing of {channel['gtin']} is on its way to {site}", advice="Wait until cases are shipped."
            )
        labels = {case["sscc"]: str(case["label"]) for case in world["cases"]}
        device = f"door-{site}"
        connection.execute(
            "INSERT INTO landing.device (id, site, kind) VALUES (%s, %s, 'station') ON CONFLICT DO NOTHING",
            (device, site),
        )
        account = Account(device, site, installation.device_secret(device))
        codes = [labels[unit.removeprefix("/00/")] for unit in found]
        asyncio.run(_scan(account, installation.broker_port, codes))
        items = _received(connection, found, site)
    time.sleep(wait_seconds)
    return Delivery(found, items, ask(installation.var / "shelves", Hand(hand.place, hand.channel, -items)))


async def _scan(account: Account, port: int, codes: list[str]) -> None:
    """Scan cases as received, until each is acknowledged; the broker learns of a new device within seconds."""
    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder) / "journal") as kept:
        scanner = Device(account, Behaviour(longest_reconnect_seconds=2.0), kept, 1)
        serving = asyncio.create_task(scanner.serve("127.0.0.1", port))
        for number, code in enumerate(codes):
            scan = Scan(ts=time.time_ns() // 1_000_000, code=code, symbology="DataMatrix", activity=Activity.RECEIVE)
            scanner.take(f"case-{number}", encode_event(scan))
        deadline = time.monotonic() + _BROKER_SECONDS
        while scanner.open_count and time.monotonic() < deadline:  # noqa: ASYNC110  a device tells nobody of its state
            await asyncio.sleep(0.1)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
    if scanner.open_count:
        raise SourceError("the scans were not acknowledged", advice="Check that codefence up still runs.")


def _received(connection: psycopg.Connection[tuple[object, ...]], cases: list[str], site: str) -> int:
    """Wait until the ledger has every item of the cases; return how many these are."""
    deadline = time.monotonic() + _LEDGER_SECONDS
    while time.monotonic() < deadline:
        row = connection.execute(_RECEIVED, {"cases": cases, "site": site}).fetchone()
        if row is not None and row[0] == row[1]:
            return int(str(row[1]))
        time.sleep(0.2)
    raise SourceError("the ledger does not take the delivery in", advice="Look at the worker's log.")
