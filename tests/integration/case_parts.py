"""What the tests of cases share: a market with diverted goods, and three people."""

from collections.abc import Sequence
from typing import Any

from trace_market import Market

from trace_service.accounts import add_account
from trace_service.cases.machine import Action, Actor
from trace_service.cases.model import Case
from trace_service.cases.service import Order, act, cases, find
from trace_service.domain.roles import Role
from trace_service.store.connection import connect

BRAND, PASSWORD = "qingyuan", "correct horse battery"
PEOPLE = {
    "wang": Role.MANAGER, "chen": Role.MANAGER, "lin": Role.ANALYST, "zhao": Role.INSPECTOR, "he": Role.VIEWER,
}  # fmt: skip


def hire(dsn: str) -> dict[str, Actor]:
    with connect(dsn, "tests of cases") as connection:
        for login, role in PEOPLE.items():
            profile = {"brand": BRAND, "name": login.title(), "role": role.value, "language": "zh"}
            add_account(connection, login, PASSWORD, profile)
    return {login: Actor(BRAND, login, role) for login, role in PEOPLE.items()}


def divert(market: Market, shipped: Sequence[dict[str, Any]], place: str, minutes: float = 120) -> None:
    """Sell some of Chengdu's cases elsewhere, and let the worker find out."""
    for case in shipped:
        market.land(
            *market.pack(case), market.ship(case, "D-CHENGDU"), market.consumer(case["items"][0], place, minutes)
        )
    market.drain()


def only(market: Market) -> Case:
    (found,) = cases(market.connection, BRAND, None)
    return found


def do(market: Market, actor: Actor, number: int, action: Action, **detail: object) -> Case:
    act(market.connection, actor, number, Order(action, detail))
    return find(market.connection, actor.brand, number)
