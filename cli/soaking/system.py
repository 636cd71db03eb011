"""A whole system of real processes that a fault round may kill part by part: database, broker, ingest, stations."""

import json
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Protocol, Self

import click
import msgspec
import psycopg

from cli.embedded.binaries import service_account
from cli.embedded.broker import Broker
from cli.embedded.postgres import Database, EmbeddedPostgres
from cli.embedded.process import Child, Running
from cli.embedded.timescale import TimescaleServer
from cli.embedded.users import INGEST, INGEST_ORDERS, device_user, ingest_user
from cli.installation import codefence
from cli.soaking.mosquitto import Mosquitto
from cli.soaking.stations import Station, kill
from contracts.errors import CodefenceError
from contracts.topics import PARTITIONS
from firmware_sim.fleet.fleet import Summary
from trace_service.schema.migrate import Roles, migrate

SITE: Final = "dc-east"
_SPARE_SECONDS: Final = 30.0


class SoakError(CodefenceError):
    """A part of the system under test did not do what the round needs, so that nothing was measured."""

    code = "SOAK_FAILED"


class BrokerKind(StrEnum):
    """The brokers that are tried."""

    NATS = "nats"
    MOSQUITTO = "mosquitto"


class DatabaseKind(StrEnum):
    """The databases that are tried: the PostgreSQL of the wheel, and Debian's TimescaleDB."""

    WHEEL = "wheel"
    TIMESCALE = "timescale"


class Parts(NamedTuple):
    """What a system is made of. Several workers share the partitions and are called ingest-0, ingest-1 and so on."""

    broker: BrokerKind
    database: DatabaseKind = DatabaseKind.WHEEL
    workers: int = 1


class AnyServer(Protocol):
    """What both databases offer."""

    @property
    def process(self) -> Running | None:
        """The server's process once it was started."""

    @property
    def database(self) -> Database:
        """How to reach it."""

    @property
    def home(self) -> Path:
        """The folder that holds `data`."""

    def start(self) -> Database:
        """Start it and return once it answers."""

    def stop(self) -> None:
        """Stop it."""


class AnyBroker(Protocol):
    """What both brokers offer."""

    port: int

    @property
    def process(self) -> Running | None:
        """The broker's process once it was started."""

    def start(self) -> int:
        """Start it and return its port."""

    def stop(self) -> None:
        """Stop it."""


class System:
    """Database, broker and ingest below `folder`, with `devices` registered at one site; used in a `with` block.

    `ingest_settings` are variables of its environment beside what connects it.
    """

    def __init__(
        self, folder: Path, parts: Parts, devices: Iterable[str], ingest_settings: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.parts = parts
        self._ingest_settings = dict(ingest_settings or {})
        self._shares = shares(parts.workers)
        self.workers: dict[str, Running] = {}
        self.devices = tuple(devices)
        self.postgres: AnyServer = _server(folder / "var", parts.database)
        self.stations: dict[str, Station] = {}
        self._fleets: list[FleetRun] = []
        self._passwords: Mapping[str, str]
        self.broker: AnyBroker
        folder.mkdir(parents=True, exist_ok=True)
        if parts.broker is BrokerKind.MOSQUITTO:
            users = [f"ingest-{number}" for number in range(parts.workers)]
            mosquitto = Mosquitto(folder, [*self.devices, *users, INGEST_ORDERS])
            self.broker, self._passwords = mosquitto, mosquitto.passwords
        else:
            self._passwords = {name: secrets.token_urlsafe(12) for name in (*self.devices, INGEST)}
            accounts = [device_user(SITE, device, self._passwords[device]) for device in self.devices]
            self.broker = Broker(folder, [*accounts, ingest_user(self._passwords[INGEST])])
        self._roles = Roles(ingest=secrets.token_urlsafe(12), trace=secrets.token_urlsafe(12))

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    @property
    def owner_dsn(self) -> str:
        """The database as its owner."""
        return self.postgres.database.dsn()

    def rows(self, statement: str, *parameters: object) -> list[tuple[object, ...]]:
        """Return what a query finds, as the owner."""
        with psycopg.connect(self.owner_dsn) as connection:
            return connection.execute(statement.encode(), parameters or None).fetchall()

    def add_station(self, device: str, rate: float, data: Path | None = None) -> Station:
        """Start a real station, its outbox in `data`, whose scanner reads `rate` codes a second once it is on."""
        environment = {
            "PATH": os.defpath,
            "EDGE_DEVICE": device,
            "EDGE_SITE": SITE,
            "EDGE_BROKER_PORT": str(self.broker.port),
            "EDGE_BROKER_PASSWORD": self._passwords[device],
        }
        home = self.folder / device
        station = Station(home, data or home, device, environment, rate)
        self.stations[device] = station
        station.start()
        return station

    def fleet(self, name: str, devices: Iterable[str], *options: object, port: int = 0) -> "FleetRun":
        """Start a fleet of registered devices; `options` are those of `codefence simulate fleet`."""
        known = {device: {"site": SITE, "password": self._passwords[device]} for device in devices}
        running = FleetRun(self.folder / name, known, port or self.broker.port, options)
        self._fleets.append(running)
        return running

    def kill(self, part: str) -> None:
        """SIGKILL a part: database, broker, ingest, or a station by its name."""
        process = self._process(part)
        if process is None or process.pid is None:
            raise SoakError(f"{part} does not run")
        kill(process)

    def revive(self, part: str) -> None:
        """Start a killed part again and return once it answers."""
        match part:
            case "database":
                self.postgres.start()
            case "broker":
                self.broker.start()
            case worker if worker in self.workers:
                self.workers[worker].start()
            case _:
                self.stations[part].start()

    @property
    def ingest(self) -> Running:
        """The only worker, or the first."""
        return next(iter(self.workers.values()))

    def wait_listening(self) -> None:
        """Return once ingest hears events: Mosquitto drops what nobody has subscribed to yet."""
        for log in [worker.log_path for worker in self.workers.values()]:
            wait_for(partial(_has_connected, log), f"ingest to connect; see {log}")

    def environment_of(self, name: str) -> dict[str, str]:
        """Return the variables under which the worker `name`, or a command of ingest, connects."""
        database = self.postgres.database
        number = list(self._shares).index(name)
        variables = {
            "PATH": os.defpath,
            "INGEST_DATABASE_URL": f"postgresql://codefence_ingest:{self._roles.ingest}@{database.host}:"
            f"{database.port}/{database.name}",
            "INGEST_BROKER_PORT": str(self.broker.port),
            "INGEST_CLIENT_ID": f"ingest-{number}",
            "INGEST_PARTITIONS": self._shares[name],
        }
        if self.parts.broker is BrokerKind.MOSQUITTO:
            variables |= {
                "INGEST_BROKER_USER": f"ingest-{number}",
                "INGEST_BROKER_PASSWORD": self._passwords[f"ingest-{number}"],
                "INGEST_ORDERS_USER": INGEST_ORDERS,
                "INGEST_ORDERS_PASSWORD": self._passwords[INGEST_ORDERS],
            }
        else:
            one = "false" if len(self._shares) == 1 else "true"
            variables |= {"INGEST_BROKER_PASSWORD": self._passwords[INGEST], "INGEST_SESSION_PER_PARTITION": one}
        return variables | self._ingest_settings

    def _process(self, part: str) -> Running | None:
        match part:
            case "database":
                return self.postgres.process
            case "broker":
                return self.broker.process
            case worker if worker in self.workers:
                return self.workers[worker]
            case _:
                return self.stations[part].process

    def _start(self) -> None:
        database = self.postgres.start()
        migrate(database.dsn(), self._roles)
        with psycopg.connect(database.dsn()) as connection, connection.cursor() as cursor:
            register = "INSERT INTO landing.device (id, site, kind) VALUES (%s, %s, 'station')"
            cursor.executemany(register, [(device, SITE) for device in self.devices])
        self.broker.start()
        for name in self._shares:
            child = Child(name, codefence("ingest", "run"), self.environment_of(name))
            self.workers[name] = Running(self.folder, child)
            self.workers[name].start()
        self.wait_listening()

    def _stop(self) -> None:
        for fleet in self._fleets:
            fleet.abandon()
        for station in self.stations.values():
            station.stop()
        for worker in self.workers.values():
            worker.stop()
        self.broker.stop()
        self.postgres.stop()
        shutil.rmtree(self.postgres.home, ignore_errors=True)


class FleetRun:
    """A running `codefence simulate fleet`."""

    def __init__(self, stem: Path, devices: Mapping[str, object], port: int, options: Iterable[object]) -> None:
        file, self.journal = stem.with_suffix(".json"), stem.with_suffix(".journal")
        file.write_text(json.dumps(devices), "utf-8")
        command = codefence(
            "simulate", "fleet", "--devices", file, "--broker-port", port, "--journal", self.journal, *options
        )
        with stem.with_suffix(".log").open("ab") as errors:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors)
        self._log = stem.with_suffix(".log")

    def captured(self) -> int:
        """Return how many events are in the journal by now."""
        return self.journal.read_bytes().count(b"\n") if self.journal.exists() else 0

    def times_complete(self) -> int:
        """Return how often the last missing device came online."""
        return self._log.read_bytes().count(b"fleet.complete")

    def stop_capturing(self) -> None:
        """Have the fleet capture no more and wait for what is open."""
        self._process.terminate()

    def abandon(self) -> None:
        """End the fleet at once, whatever is open; one that has ended is left alone."""
        self._process.kill()
        self._process.communicate()

    def finish(self, seconds: float) -> Summary:
        """Wait until the fleet ends and return what it says; `SoakError` where it does not, or says nothing."""
        try:
            output, _ = self._process.communicate(timeout=seconds + _SPARE_SECONDS)
        except subprocess.TimeoutExpired as error:
            self.abandon()
            raise SoakError("the fleet did not end") from error
        if not output:
            raise SoakError(f"the fleet failed:\n{self._log.read_text('utf-8', 'replace')[-2000:]}")
        return msgspec.json.decode(output, type=Summary)


def _server(folder: Path, kind: DatabaseKind) -> AnyServer:
    if kind is DatabaseKind.WHEEL:
        return EmbeddedPostgres(folder, service_account())
    folder.mkdir(parents=True)
    return TimescaleServer(folder, lambda line: click.echo(line, err=True))


def shares(workers: int) -> dict[str, str]:
    """Return the workers' names with the partitions of each, as even as can be."""
    if workers == 1:
        return {"ingest": f"0-{PARTITIONS - 1}"}
    bounds = [PARTITIONS * number // workers for number in range(workers + 1)]
    return {f"ingest-{number}": f"{first}-{end - 1}" for number, (first, end) in enumerate(pairwise(bounds))}


def _has_connected(log: Path) -> bool:
    return b'"ingest.connected"' in log.read_bytes()


def wait_for(condition: Callable[[], object], what: str, seconds: float = 90.0, *, every: float = 0.05) -> None:
    """Return once `condition` holds; `SoakError` when the time is up."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SoakError(f"waited {seconds:g} s for {what}")
        time.sleep(every)
