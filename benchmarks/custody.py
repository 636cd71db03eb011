"""Custody: any unit at any moment among millions of events, a pallet of 10,000 items that ships, and replay."""

import base64
import os
import random
import statistics
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import psycopg
from pydantic import SecretStr

from benchmarks.frame import Figure, Outcome, Progress, Target
from benchmarks.load.custody_check import contents_of
from benchmarks.load.custody_histories import SITES, make_history
from benchmarks.load.custody_reference import Reference
from benchmarks.load.custody_stock import BRAND, ITEMS, START, item, load, load_containment, logistic
from benchmarks.load.servers import servers
from trace_service.demo import run_demo
from trace_service.domain.custody import replay
from trace_service.domain.events import Event, Source, Step
from trace_service.keys import KeyWrapper
from trace_service.processing.capture import capture
from trace_service.processing.history import state_at
from trace_service.store.connection import Connection, connect

_SMALL, _LARGE = 10, 300
"""Pallets of 10,000 items: about 100,000 and 3 million events."""
_QUESTIONS: Final = 3_000
_WARM_UP: Final = 200
_TRIALS: Final = 5
_TARGETS: Final = {
    "moment.100k.p99_ms": Target("<=", 2.0),
    "moment.3m.p99_ms": Target("<=", 2.0),
    "moment.3m_to_100k": Target("<=", 1.5),
    "pallet.ship_ms": Target("<=", 20.0),
}
# What a binding for every item would mean: find all that lies in the pallet, at any depth, and write a row each.
_COPYING: Final = """
    WITH RECURSIVE inside AS (
        SELECT %(unit)s::text AS unit
        UNION
        SELECT containment.child FROM inside JOIN trace.containment ON containment.parent = inside.unit
            AND containment.valid_to IS NULL
    )
    INSERT INTO trace.binding (brand, unit, dealer, shipment, valid_from, device, boot, seq)
    SELECT %(brand)s, unit, 'D-CHENGDU', 'SO-0', now(), 'copy', %(boot)s, row_number() OVER () FROM inside
"""


def run(progress: Progress) -> Outcome:
    """Load pallets, ask, ship; figures in milliseconds, or events per second."""
    figures: dict[str, Figure] = {}
    loaded = 0
    with (
        servers() as parts,
        psycopg.connect(parts.owner_dsn, autocommit=True) as owner,
        connect(parts.owner_dsn, "bench") as connection,
    ):
        run_demo(connection, KeyWrapper(SecretStr(base64.b64encode(bytes(32)).decode())), "id.example")
        for name, pallets in (("100k", _SMALL), ("3m", _LARGE)):
            progress(f"loading {pallets * ITEMS:,} items")
            began = time.perf_counter()
            count = load(owner, loaded, pallets - loaded, shipped=True)
            figures[f"load.{name}.events_per_s"] = round(count / (time.perf_counter() - began))
            loaded = pallets
            owner.execute("VACUUM ANALYZE trace.custody_event")
            figures |= _questions(connection, name, pallets)
        figures["moment.3m_to_100k"] = float(figures["moment.3m.cpu_ms"]) / float(figures["moment.100k.cpu_ms"])
        progress("shipping pallets")
        figures |= _pallets(owner, connection)
    progress("replaying histories")
    return Outcome(figures | _replays(), _TARGETS)


def _questions(connection: Connection, name: str, pallets: int) -> dict[str, Figure]:
    """Ask where random items were at random moments.

    `cpu_ms` is the processor time of a question, here and in the server: what other work on the machine cannot change.
    """
    chance = random.Random(7)
    took = []
    spent = 0.0
    for number in range(_QUESTIONS + _WARM_UP):
        if number == _WARM_UP:
            spent = _cpu_s(connection)
        pallet = chance.randrange(pallets)
        unit = item(pallet, chance.randrange(ITEMS))
        moment = START + timedelta(hours=pallet + chance.uniform(0, 60))
        began = time.perf_counter()
        state_at(connection, BRAND, unit, moment)
        if number >= _WARM_UP:
            took.append(1000 * (time.perf_counter() - began))
    spent = _cpu_s(connection) - spent
    cuts = statistics.quantiles(took, n=100)
    figures: dict[str, Figure] = {f"moment.{name}.p50_ms": cuts[49], f"moment.{name}.p99_ms": cuts[98]}
    return figures | {f"moment.{name}.cpu_ms": 1000 * spent / _QUESTIONS}


def _cpu_s(connection: Connection) -> float:
    """Return the processor seconds that this process and its session in the server have used."""
    fields = Path(f"/proc/{connection.info.backend_pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return time.process_time() + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _pallets(owner: psycopg.Connection[Any], connection: Connection) -> dict[str, Figure]:
    """Ship full pallets: one event, and what it binds; then the same by a row for every item."""
    first = _LARGE
    load(owner, first, 2 * _TRIALS, shipped=False)
    for pallet in range(first, first + 2 * _TRIALS):
        load_containment(owner, pallet)
    owner.execute("VACUUM ANALYZE trace.containment")
    spent = _cpu_s(connection)
    ours = [_timed(connection, partial(_ship, connection, pallet)) for pallet in range(first, first + _TRIALS)]
    spent = _cpu_s(connection) - spent
    owner.execute(
        "INSERT INTO trace.shipment VALUES ('SO-0', %s, 'dc-east', 'D-CHENGDU', now()) ON CONFLICT DO NOTHING", (BRAND,)
    )
    theirs = []
    for pallet in range(first + _TRIALS, first + 2 * _TRIALS):
        query = {"unit": logistic(3, pallet), "brand": BRAND, "boot": uuid4()}
        theirs.append(_timed(connection, partial(connection.execute, _COPYING, query)))
    figures: dict[str, Figure] = {
        "pallet.ship_ms": statistics.median(ours),
        "pallet.ship_cpu_ms": 1000 * spent / _TRIALS,
        "pallet.copying_ms": statistics.median(theirs),
    }
    return figures | {"pallet.copying_to_ship": statistics.median(theirs) / statistics.median(ours)}


def _timed(connection: Connection, work: Callable[[], object]) -> float:
    began = time.perf_counter()
    with connection.transaction():
        work()
    return 1000 * (time.perf_counter() - began)


def _ship(connection: Connection, pallet: int) -> None:
    moment = START + timedelta(hours=pallet + 3)
    source = Source("epcis", uuid4(), 1)
    unit = logistic(3, pallet)
    event = Event(unit, Step.SHIP, "dc-east", moment, source, "D-CHENGDU", f"SO-{pallet}")
    refusal = capture(connection, BRAND, [event])[source]
    if refusal is not None:
        raise RuntimeError(f"{unit} is refused: {refusal}")


def _replays() -> dict[str, Figure]:
    histories = [make_history(seed).events for seed in range(400)]
    contents = [contents_of(events) for events in histories]
    count = sum(map(len, histories))
    rates: dict[str, Figure] = {}
    for name, work in (("replay", partial(replay, sites=SITES)), ("naive", _naive)):
        began = time.perf_counter()
        for events, inside in zip(histories, contents, strict=True):
            work(events, contents=inside)
        rates[f"{name}.events_per_s"] = round(count / (time.perf_counter() - began))
    return rates


def _naive(events: Sequence[Event], contents: Mapping[str, Collection[str]]) -> Reference:
    return Reference(SITES, contents).play(events)
