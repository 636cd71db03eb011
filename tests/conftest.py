"""Real parts for the tests: one PostgreSQL a run with a fresh migrated database a test, and brokers on demand."""

import inspect
import secrets
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
import structlog
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants
from psycopg import sql
from waiting import PATIENCE

from cli.embedded.binaries import service_account
from cli.embedded.broker import Broker
from cli.embedded.postgres import Database, EmbeddedPostgres, create_database
from cli.embedded.users import INGEST, device_user, ingest_user
from firmware_sim.world.parameters import Request
from geofence.maps import AtomMap, Level, load_installed_map
from trace_service.schema.migrate import Roles, migrate

if TYPE_CHECKING:
    from console_world import Site
    from playwright.sync_api import Browser
    from trace_market import Market
    from visiting import Visit

_ROLES = Roles(ingest="ingest-of-tests", trace="trace-of-tests")
_TEMPLATE = "codefence_template"

# A busy machine is no fault of what is tested, however long an example takes to be run or to be made. The examples of a
# run are those of every run: a change is judged by itself and not by its luck.
_REPEATABLE = "repeatable"
_PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(_REPEATABLE, _PATIENT, derandomize=True)
settings.register_profile("explore", _PATIENT, derandomize=False)
settings.load_profile(_REPEATABLE)


@dataclass(frozen=True)
class TestDatabase:
    """Connection URLs of one fresh database, for its owner and for the two least-privileged roles."""

    __test__ = False
    owner_dsn: str
    ingest_dsn: str
    trace_dsn: str


@dataclass(frozen=True)
class TestBroker:
    """A running broker: where it listens, and the password of `ingest` and of every device."""

    __test__ = False
    host: str
    port: int
    passwords: Mapping[str, str]
    broker: Broker


def pytest_configure(config: pytest.Config) -> None:
    """Draw no example from the constants of the modules that happen to be loaded, unless one explores.

    Hypothesis has no setting for it; a release that calls this otherwise is refused rather than left to chance.
    """
    if config.getoption("--hypothesis-profile") in (None, _REPEATABLE):
        if "_get_local_constants" not in inspect.getsource(providers.HypothesisProvider):
            raise pytest.UsageError("this release of Hypothesis finds constants in another way: see tests/conftest.py")
        providers._get_local_constants = Constants


@pytest.fixture(autouse=True)
def default_logs() -> None:
    """Undo what a command that ran in an earlier test has configured for its own process.

    Tracebacks are plain: one with every frame's source and variables takes seconds of processor.
    """
    structlog.reset_defaults()
    plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], plain])


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    server = EmbeddedPostgres(tmp_path_factory.mktemp("server"), service_account())
    yield server.start()
    server.stop()
    shutil.rmtree(server.home, ignore_errors=True)


@pytest.fixture(scope="session")
def migrated_template(postgres: Database) -> str:
    create_database(postgres.dsn(), _TEMPLATE)
    migrate(postgres.dsn(_TEMPLATE), _ROLES)
    return _TEMPLATE


@pytest.fixture
def database(postgres: Database, migrated_template: str) -> Iterator[TestDatabase]:
    with fresh_database(postgres, migrated_template) as made:
        yield made


@contextmanager
def fresh_database(postgres: Database, migrated_template: str) -> Iterator[TestDatabase]:
    """Make a database of its own; for fixtures of a whole module, whose tests only read."""
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        connection.execute(statement.format(sql.Identifier(name), sql.Identifier(migrated_template)))
    owner = postgres.dsn(name)
    yield TestDatabase(
        owner_dsn=owner,
        ingest_dsn=_as_role(owner, "codefence_ingest", _ROLES.ingest),
        trace_dsn=_as_role(owner, "codefence_trace", _ROLES.trace),
    )
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def start_broker() -> Iterator[Callable[[Mapping[str, str]], TestBroker]]:
    """Start a broker that lets in `ingest` and the given devices, named with their sites."""
    started: list[tuple[Broker, Path]] = []

    def start(devices: Mapping[str, str]) -> TestBroker:
        passwords = {name: secrets.token_urlsafe(12) for name in (*devices, INGEST)}
        users = [device_user(site, device, passwords[device]) for device, site in devices.items()]
        folder = Path(tempfile.mkdtemp(prefix="broker-"))
        broker = Broker(folder, [*users, ingest_user(passwords[INGEST])])
        started.append((broker, folder))
        return TestBroker("127.0.0.1", broker.start(), passwords, broker)

    yield start
    for broker, folder in started:
        broker.stop()
        shutil.rmtree(folder)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say once for each part that is missing here how many tests were skipped for want of it."""
    reasons = Counter(
        report.longrepr[2].removeprefix("Skipped: ")
        for report in terminalreporter.stats.get("skipped", [])
        if isinstance(report.longrepr, tuple)
    )
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"skipped {count:3}: {reason}")


def _as_role(dsn: str, role: str, password: str) -> str:
    parts = urlsplit(dsn)
    return urlunsplit(parts._replace(netloc=f"{role}:{password}@{parts.hostname}:{parts.port}"))


# No longer than a module: while Playwright runs, its thread has an event loop that other tests would trip over.
@pytest.fixture(scope="module")
def chromium() -> Iterator["Browser"]:
    from playwright.sync_api import expect, sync_playwright  # noqa: PLC0415  the other tests start without it
    from screenshots import ARGUMENTS, CHROMIUM  # noqa: PLC0415  it lies beside the browser tests

    if not Path(CHROMIUM).exists():
        pytest.skip(f"no Chromium at {CHROMIUM}: apt-get install chromium fonts-noto-cjk")
    expect.set_options(timeout=PATIENCE * 1000)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS, timeout=PATIENCE * 1000)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def atoms() -> AtomMap:
    """Return the map of the counties, with its shapes."""
    atoms = load_installed_map()
    atoms.layer(Level.COUNTY)
    return atoms


@pytest.fixture
def market(database: TestDatabase, atoms: AtomMap) -> Iterator["Market"]:
    """Let goods and scans land in a demo market, and a worker do what is to be done; modules with another say so."""
    from trace_market import Market  # noqa: PLC0415  it lies beside the integration tests

    market = Market(database, atoms)
    yield market
    market.close()


@pytest.fixture
def site(database: TestDatabase) -> Iterator["Site"]:
    """Serve the console on the demo brand with an alert, stock and a proposal; modules with another world say so."""
    from console_world import make_world, running  # noqa: PLC0415  most tests need no server

    with running(make_world(database.owner_dsn, database.trace_dsn)) as site:
        yield site


@pytest.fixture(scope="module")
def engine_site(
    postgres: Database, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator["Site"]:
    """Serve the console on what the engine says of a generated world."""
    from console_world import running  # noqa: PLC0415  most tests need no server
    from engine_world import make_engine_world  # noqa: PLC0415  nor an engine

    with fresh_database(postgres, migrated_template) as database:
        request = Request(seed=21, days=150, dealers=40, items=20_000)
        folder = tmp_path_factory.mktemp("world")
        with running(make_engine_world(database.owner_dsn, database.trace_dsn, folder, request)) as site:
            yield site


@pytest.fixture
def visit(chromium: "Browser", site: "Site") -> Iterator["Visit"]:
    """Open pages of the module's own `site` as somebody."""
    from visiting import visiting  # noqa: PLC0415  it lies beside the browser tests

    with visiting(chromium, site.url) as visit:
        yield visit
