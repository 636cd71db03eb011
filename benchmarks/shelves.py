"""Two thousand shelves, a message a second each: from the wire to the stock figure, and what each part costs."""

import asyncio
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final, LiteralString, NamedTuple

import psycopg

from benchmarks.frame import Figure, Outcome, Progress, Target
from benchmarks.load.stock_page import open_page
from cli.embedded.binaries import service_account
from cli.embedded.broker import Broker
from cli.embedded.files import kept_port
from cli.embedded.postgres import EmbeddedPostgres, create_database
from cli.embedded.process import Running
from cli.embedded.users import device_user, ingest_user
from cli.installation import DATABASE, Installation
from contracts.messages import Stock, encode_event
from firmware_sim.fleet.behaviour import Behaviour
from firmware_sim.fleet.device import Device
from firmware_sim.fleet.fleet import allow_connections
from firmware_sim.fleet.journal import Journal
from firmware_sim.fleet.link import Account
from trace_service.accounts import add_account
from trace_service.schema.migrate import Roles, migrate
from trace_service.store.connection import connect
from trace_service.web.build_assets import ensure_assets

_SHELVES: Final = 2_000
_SECONDS: Final = 30.0
_CONNECT_SECONDS: Final = 240.0
_DRAIN_SECONDS: Final = 60.0
_CORES: Final = 2.0
_FLUSH_MS: Final = 60
"""Three times the default: with messages from everywhere at once, larger batches cost less each."""
_GTIN: Final = "09506000134352"
_LOOKED_AT: Final = ("P1", "09506000134369")
_LOOKS: Final = 100
_ONLINE_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 1.3
"""Between two changes: the page asks at most once a second."""
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PASSWORD: Final = "shelf-of-the-benchmark"  # noqa: S105  of a broker that lives for a minute
_SEED: Final = """
INSERT INTO trace.brand VALUES ('bench', '基准', 'Bench');
INSERT INTO trace.product (gtin, brand, name_zh, name_en, items_per_case, unit_price, unit_weight_g)
    VALUES ('09506000134352', 'bench', '产品', 'Product', 6, 10, 500);
INSERT INTO trace.site (id, kind, name_zh, name_en) SELECT 'S' || n, 'store', 'S' || n, 'S' || n
    FROM generate_series(1, %(shelves)s) AS n;
INSERT INTO trace.stock (site, gtin, brand, daily_demand, reorder, maximum)
    SELECT 'S' || n, '09506000134352', 'bench', 3, 12, 48 FROM generate_series(1, %(shelves)s) AS n;
INSERT INTO landing.device (id, site, kind) SELECT 'shelf-' || n, 'S' || n, 'shelf'
    FROM generate_series(1, %(shelves)s) AS n;
INSERT INTO trace.brand VALUES ('page', '页面', 'Page');
INSERT INTO trace.product (gtin, brand, name_zh, name_en, items_per_case, unit_price, unit_weight_g)
    VALUES ('09506000134369', 'page', '产品', 'Product', 6, 10, 500);
INSERT INTO trace.site (id, kind, name_zh, name_en) VALUES ('P1', 'store', 'P1', 'P1');
INSERT INTO trace.stock (site, gtin, brand, daily_demand, reorder, maximum)
    VALUES ('P1', '09506000134369', 'page', 3, 0, 1000000);
INSERT INTO landing.device (id, site, kind) VALUES ('shelf-page', 'P1', 'shelf')
"""


class _Parts(NamedTuple):
    """The running parts, by the process ids at their heads, and the database."""

    heads: dict[str, int]
    port: int
    url: str
    dsn: str


class _Load(NamedTuple):
    """What a stretch of full load did: `behind` is how long after it the last figure was known, `used` and `own` CPU.

    `connecting` is what the broker used before it, for the connections.
    """

    captured: int
    open: int
    behind: float
    lags: list[float]
    used: dict[str, float]
    own: float
    connecting: float


def run(progress: Progress) -> Outcome:
    """Let every shelf sell or be refilled once a second, and see what the system's parts use to keep up."""
    allow_connections(_SHELVES)
    folder = Path(tempfile.mkdtemp(prefix="codefence-bench-"))
    try:
        with _system(folder) as parts:
            progress(f"{_SHELVES} shelves connect")
            return _measure(parts, folder, progress)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _measure(parts: _Parts, folder: Path, progress: Progress) -> Outcome:
    load = asyncio.run(_sustain(parts, folder / "journal", progress))
    with psycopg.connect(parts.dsn, autocommit=True) as connection:
        known = _count(connection, "SELECT count(*) FROM trace.stock WHERE quantity IS NOT NULL AND brand = 'bench'")
    waits = asyncio.run(_looks(parts, folder / "looks"))
    progress(f"{load.captured} messages in {_SECONDS:.0f} s, every figure known {load.behind:.1f} s after the last")
    counted: dict[str, Figure] = {
        "messages": load.captured,
        "messages_per_s": load.captured / _SECONDS,
        "acknowledged_percent": 100 * (1 - load.open / load.captured),
        "stock_figures_percent": 100 * known / _SHELVES,
        "figures_behind_at_the_end_s": round(load.behind, 2),
        "oldest_waiting_p50_s": round(statistics.median(load.lags), 2),
        "oldest_waiting_p99_s": round(sorted(load.lags)[int(0.99 * len(load.lags))], 2),
        "fleet_cpu_us_per_message": 1e6 * load.own / load.captured,
        "connecting_broker_cpu_ms_per_shelf": 1e3 * load.connecting / _SHELVES,
    }
    per_message = {name: 1e6 * used / load.captured for name, used in load.used.items()}
    return _outcome(counted, per_message, waits)


async def _sustain(parts: _Parts, journal: Path, progress: Progress) -> _Load:
    """Connect every shelf, then let each report once a second, and see how far behind the system falls."""
    idle = _used(parts)
    with Journal(journal) as kept:
        behaviour = Behaviour(rate=1.0, gtin=_GTIN)
        accounts = [Account(f"shelf-{n}", f"S{n}", _PASSWORD) for n in range(1, _SHELVES + 1)]
        devices = [Device(account, behaviour, kept, 2) for account in accounts]
        serving = [asyncio.create_task(device.serve("127.0.0.1", parts.port)) for device in devices]
        await _until(lambda: all(device.is_online for device in devices), _CONNECT_SECONDS)
        before, own, began = _used(parts), time.process_time(), time.monotonic()
        progress(f"every shelf is online; {_SECONDS:.0f} s of a message a second each")
        until = asyncio.get_running_loop().time() + _SECONDS
        capturing = [asyncio.create_task(device.capture(until)) for device in devices]
        lags = await asyncio.to_thread(_watch, parts.dsn, began + _SECONDS)
        await asyncio.gather(*capturing)
        ended = time.monotonic()
        await _until(lambda: not any(device.open_count for device in devices), _DRAIN_SECONDS)
        await asyncio.to_thread(_drained, parts.dsn)
        behind, after = time.monotonic() - ended, _used(parts)
        used = {name: after[name] - before[name] for name in before}
        own = time.process_time() - own
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
    captured, still_open = sum(each.captured for each in devices), sum(each.open_count for each in devices)
    return _Load(captured, still_open, behind, lags, used, own, before["broker"] - idle["broker"])


async def _until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:  # noqa: ASYNC110  devices tell nobody of their state
        await asyncio.sleep(0.05)


def _watch(dsn: str, until: float) -> list[float]:
    """Look four times a second how old the oldest reading is that no figure takes into account yet."""
    lags = []
    with psycopg.connect(dsn, autocommit=True) as connection:
        while time.monotonic() < until:
            row = connection.execute(
                "SELECT coalesce(extract(epoch FROM clock_timestamp() - min(enqueued_at)), 0)::float8 FROM landing.work"
            ).fetchone()
            lags.append(row[0] if row else 0.0)
            time.sleep(0.25)
    return lags


def _drained(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        while _count(connection, "SELECT count(*) FROM landing.work"):
            time.sleep(0.05)


def _outcome(counted: dict[str, Figure], per_message: dict[str, float], waits: list[float]) -> Outcome:
    total = sum(per_message.values())
    figures: dict[str, Figure] = {
        **counted,
        **{f"{name}_cpu_us_per_message": value for name, value in per_message.items()},
        "event_to_page_p50_ms": statistics.median(waits),
        "event_to_page_p99_ms": sorted(waits)[int(0.99 * len(waits))],
        "system_cpu_us_per_message": total,
        "cores_for_2000_per_s": total * 2_000 / 1e6,
    }
    return Outcome(
        figures,
        {
            "cores_for_2000_per_s": Target("<=", _CORES),
            "messages_per_s": Target(">=", 0.99 * _SHELVES),
            "figures_behind_at_the_end_s": Target("<=", 2.0),
            "event_to_page_p99_ms": Target("<=", 500.0),
            "acknowledged_percent": Target("==", 100.0),
            "stock_figures_percent": Target("==", 100.0),
        },
    )


async def _looks(parts: _Parts, journal: Path) -> list[float]:
    """Change one shelf now and then, with nothing else going on; return the milliseconds until the page shows it."""
    waits = []
    with Journal(journal) as kept, open_page(parts.url, "bench", _PASSWORD, _LOOKED_AT) as page:
        device = Device(Account("shelf-page", "P1", _PASSWORD), Behaviour(gtin=_LOOKED_AT[1]), kept, 3)
        serving = asyncio.create_task(device.serve("127.0.0.1", parts.port))
        await asyncio.sleep(_ONLINE_SECONDS)
        for units in range(1, _LOOKS + 1):
            at = time.time()
            stock = Stock(ts=int(at * 1000), channel=1, gtin=_LOOKED_AT[1], grams=500, units=units, confidence=0.98)
            device.take(f"look-{units}", encode_event(stock))
            shown = await asyncio.to_thread(page.wait, units, at)
            waits.append(10_000.0 if shown is None else 1000 * (shown - at))
            await asyncio.sleep(_LOOK_SECONDS)
        serving.cancel()
    return waits


def _used(parts: _Parts) -> dict[str, float]:
    """Return the processor seconds of each part so far, its children included."""
    children: dict[int, list[int]] = {}
    used: dict[int, float] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                fields = (entry / "stat").read_text("ascii", "replace").rpartition(")")[2].split()
                children.setdefault(int(fields[1]), []).append(int(entry.name))
                # A server's own children that have ended count with it.
                used[int(entry.name)] = sum(map(int, fields[11:15])) / _TICKS
    return {
        name: used.get(head, 0.0) + sum(used.get(child, 0.0) for child in children.get(head, ()))
        for name, head in parts.heads.items()
    }


def _count(connection: psycopg.Connection[tuple[int]], query: LiteralString) -> int:
    row = connection.execute(query).fetchone()
    return row[0] if row else 0


def _fill(dsn: str) -> None:
    """Add the shelves, and somebody who looks at them."""
    with psycopg.connect(dsn) as connection:
        for statement in _SEED.split(";\n"):
            connection.execute(statement.encode(), {"shelves": _SHELVES})
    with connect(dsn, "bench") as connection:
        profile = {"brand": "page", "name": "Bench", "role": "viewer", "language": "en"}
        add_account(connection, "bench", _PASSWORD, profile)


@contextmanager
def _system(folder: Path) -> Iterator[_Parts]:
    """Run database, broker, ingest and one worker."""
    postgres = EmbeddedPostgres(folder, service_account())
    running: list[Running] = []
    try:
        database = postgres.start()
        installation = Installation(folder, kept_port(folder / "console.port"), database)
        create_database(database.dsn(), DATABASE)
        roles = Roles(installation.secret("ingest-database"), installation.secret("trace-database"))
        migrate(installation.owner_dsn, roles)
        _fill(installation.owner_dsn)
        devices = [device_user("P1", "shelf-page", _PASSWORD)]
        devices += [device_user(f"S{n}", f"shelf-{n}", _PASSWORD) for n in range(1, _SHELVES + 1)]
        broker = Broker(folder, [*devices, ingest_user(installation.secret("ingest-broker"))])
        port = broker.prepare()
        ensure_assets(lambda _: None)
        installation = replace(installation, broker_port=port)
        children = {child.name: child for child in installation.server_children()}
        patient = {**children["ingest"].env, "INGEST_FLUSH_MS": str(_FLUSH_MS)}
        children["ingest"] = replace(children["ingest"], env=patient)
        for child in (broker.child(), *(children[name] for name in ("ingest", "worker", "console"))):
            running.append(Running(folder, child))
            running[-1].start()
            running[-1].wait_ready()
        heads = {each.child.name: each.pid or 0 for each in running if each.child.name != "console"}
        url = f"http://127.0.0.1:{installation.console_port}"
        head = int((postgres.home / "data" / "postmaster.pid").read_text("ascii").split()[0])
        yield _Parts({**heads, "postgres": head}, port, url, installation.owner_dsn)
    finally:
        for each in reversed(running):
            each.stop()
        postgres.stop()
        shutil.rmtree(postgres.home, ignore_errors=True)
