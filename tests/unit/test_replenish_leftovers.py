"""Goods that will be left in several stores: what one sends leaves less room, and less to send, for the next."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from types import SimpleNamespace
from typing import Any

import numpy as np

from trace_service.replenishment.night.actions import Surplus
from trace_service.replenishment.night.leftovers import leftovers

GTIN = "09506000134352"


def night(
    left: list[int],
    held: list[int],
    sold: list[float],
    urgent: Mapping[tuple[int, int], int] | None = None,
    slow: Sequence[Surplus] = (),
) -> list[dict[str, Any]]:
    """Return what becomes of what is left in some stores of a dealer, all of it ten days before its last one.

    `urgent` is how much moves from store to store whatever is left.
    """
    rows = [
        SimpleNamespace(site=f"S{at}", gtin=GTIN, dealer="D1", lon=104.0 + at / 50, lat=30.6, seen=True, certainty=0.9,
                        quantity=units, unit_price=60.0)
        for at, units in enumerate(held)
    ]  # fmt: skip
    stock = SimpleNamespace(on_hand=np.array(held), on_order=np.zeros(len(held), dtype=np.int64))
    records: Any = SimpleNamespace(rows=rows, stock=stock, today=date(2026, 5, 4), history=SimpleNamespace(days=[]))
    plan: Any = SimpleNamespace(
        demand=SimpleNamespace(mean=np.array(sold)), lines=SimpleNamespace(maximum=np.full(len(held), 100)),
        evidence=np.ones(len(held)), model="codefence-2", slow=slow,
        expiring=[Surplus(at, held[at], units, "transfer", 0.1, 11) for at, units in enumerate(left) if units],
    )  # fmt: skip
    moves = [
        {"site": f"S{giver}", "to_site": f"S{taker}", "gtin": GTIN, "quantity": units, "cost": 12.0, "p_without": 0.4}
        for (giver, taker), units in (urgent or {}).items()
    ]
    return leftovers(records, plan, moves)


def sent(found: list[dict[str, Any]]) -> dict[tuple[str, str], int]:
    """Return what goes from store to store."""
    return {(each["site"], each["to_site"]): each["quantity"] for each in found if each["kind"] == "transfer"}


def test_two_stores_do_not_fill_the_same_room() -> None:
    found = night(left=[30, 30, 0], held=[40, 40, 5], sold=[1.0, 1.0, 5.0])
    units: dict[tuple[str, str], int] = defaultdict(int)
    for each in found:
        units[each["kind"], each["site"]] += each["quantity"]
    room = 10 * 5 - 5
    assert units["transfer", "S0"] == 30
    assert units["transfer", "S1"] == room - 30
    assert units["markdown", "S1"] == 30 - (room - 30), "what nobody takes is marked down"
    assert ("markdown", "S0") not in units


def test_what_goes_elsewhere_urgently_is_no_longer_left() -> None:
    found = night(left=[30, 0, 0], held=[40, 5, 90], sold=[1.0, 8.0, 9.0], urgent={(0, 2): 25})
    assert sent(found) == {("S0", "S1"): 5}
    assert [each for each in found if each["kind"] == "markdown"] == []
    assert night(left=[30, 0], held=[40, 5], sold=[1.0, 8.0], urgent={(0, 1): 30}) == []


def test_no_store_sends_more_than_it_has() -> None:
    # Of the lot 30 are left, but only 26 stand on the shelf and are free to go.
    found = night(left=[30, 0, 0], held=[26, 5, 90], sold=[0.1, 8.0, 9.0], urgent={(0, 2): 4})
    assert sent(found) == {("S0", "S1"): 22}


def test_what_is_brought_urgently_fills_its_taker() -> None:
    found = night(left=[30, 0, 0], held=[40, 5, 60], sold=[1.0, 5.0, 1.0], urgent={(2, 1): 35})
    room = 10 * 5 - 5
    assert sent(found) == {("S0", "S1"): room - 35}
    assert {each["site"]: each["quantity"] for each in found if each["kind"] == "markdown"} == {"S0": 20}


def test_what_is_left_goes_with_what_is_urgent_and_the_trip_is_paid_once() -> None:
    found = night(left=[30, 0], held=[40, 5], sold=[1.0, 4.0], urgent={(0, 1): 10})
    (move,) = (each for each in found if each["kind"] == "transfer")
    room = 10 * 4 - 5
    assert (move["quantity"], move["reason"]["code"]) == (30, "sent_on")
    assert move["quantity"] <= room
    assert move["cost"] == move["reason"]["parameters"]["freight"] == 12.0 + 20 * 0.5
    assert move["p_without"] == 0.4


def test_what_hardly_moves_is_marked_down_without_what_others_are_given_of_it() -> None:
    slow = [Surplus(0, 40, 38.0, "markdown", 0.9, 14)]
    (row,) = night(left=[0, 0], held=[40, 5], sold=[0.01, 4.0], urgent={(0, 1): 30}, slow=slow)
    assert (row["kind"], row["quantity"]) == ("markdown", 8)
    assert night(left=[0, 0], held=[40, 5], sold=[0.01, 4.0], urgent={(0, 1): 38}, slow=slow) == []
