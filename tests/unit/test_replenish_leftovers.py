"""Goods that will be left in several stores: what one sends to another leaves less room for the next."""

from collections import defaultdict
from datetime import date
from types import SimpleNamespace
from typing import Any

import numpy as np

from trace_service.replenishment.night.actions import Surplus
from trace_service.replenishment.night.leftovers import leftovers

GTIN = "09506000134352"


def night(left: list[int], held: list[int], sold: list[float]) -> list[dict[str, Any]]:
    """Return what becomes of what is left in some stores of a dealer, all of it ten days before its last one."""
    rows = [
        SimpleNamespace(site=f"S{at}", gtin=GTIN, dealer="D1", lon=104.0 + at / 50, lat=30.6, seen=True, certainty=0.9,
                        quantity=units, unit_price=60.0)
        for at, units in enumerate(held)
    ]  # fmt: skip
    stock = SimpleNamespace(on_hand=np.array(held), on_order=np.zeros(len(held), dtype=np.int64))
    records: Any = SimpleNamespace(rows=rows, stock=stock, today=date(2026, 5, 4), history=SimpleNamespace(days=[]))
    plan: Any = SimpleNamespace(
        demand=SimpleNamespace(mean=np.array(sold)), lines=SimpleNamespace(maximum=np.full(len(held), 100)),
        evidence=np.ones(len(held)), model="codefence-2", slow=[],
        expiring=[Surplus(at, held[at], units, "transfer", 0.1, 11) for at, units in enumerate(left) if units],
    )  # fmt: skip
    return leftovers(records, plan)


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
