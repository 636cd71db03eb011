"""`codefence up`: the whole system on embedded parts, until Ctrl-C."""

import base64
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

import click
import psycopg
from pydantic import SecretStr

from cli.embedded.binaries import service_account
from cli.embedded.broker import Broker
from cli.embedded.files import kept_port, prepare_folder, require_port
from cli.embedded.postgres import EmbeddedPostgres, create_database
from cli.embedded.process import Running
from cli.embedded.supervisor import Supervisor
from cli.installation import DATABASE, DEMO_LOGIN, STATIONS, Installation, codefence
from contracts.errors import CodefenceError, StartError
from trace_service.keys import KeyWrapper
from trace_service.orders.access import issue_token
from trace_service.schema.migrate import Roles, migrate
from trace_service.signing import signing_key
from trace_service.store.connection import connect
from trace_service.web.build_assets import ensure_assets

_REGISTRY_SECONDS = 2.0


_EXAMPLES: Final = """\b
Examples:
  codefence up                 everything, with one dealer who diverts goods
  codefence up --no-attack     honest traffic only: no alert may come
  codefence up --no-sim        for your own devices (see docs/operations.md)

\b
Exit codes:
  0  stopped cleanly, by Ctrl-C or SIGTERM
  1  something could not be started; the message says what and what to do
"""


@click.command(epilog=_EXAMPLES)
@click.option("--var", default="var", show_default=True, type=click.Path(file_okay=False, path_type=Path),
              help="Folder that keeps all data, secrets and logs; a later `up` resumes from it.")  # fmt: skip
@click.option("--port", default=8080, show_default=True, type=click.IntRange(1, 65535), help="Port of the console.")
@click.option("--sim/--no-sim", default=True, show_default=True, help="Emulate stations, shelves and a market.")
@click.option("--attack/--no-attack", default=True, show_default=True, help="Let one simulated dealer divert goods.")
def up(*, var: Path, port: int, sim: bool, attack: bool) -> None:
    """Start database, broker, ingest, trace service and a simulated market; Ctrl-C stops them all."""
    try:
        ensure_assets(_say)
        with Supervisor(var) as supervisor:
            registry = _start(supervisor, prepare_folder(var), port, sim=sim, attack=attack)
            supervisor.watch(registry.refresh)
    except CodefenceError as error:
        raise click.ClickException(f"{error.message}\n  {error.advice}" if error.advice else error.message) from error
    _say("stopped; the data stay in " + str(var))


class _Registry:
    """Lets devices that were registered since into the broker."""

    def __init__(self, installation: Installation, broker: Broker, running: Running) -> None:
        self._installation = installation
        self._broker = broker
        self._running = running
        self._users = installation.broker_users()
        self._looked = time.monotonic()

    def refresh(self) -> None:
        """Look every few seconds; a database that is just being restarted is asked again later."""
        if time.monotonic() - self._looked < _REGISTRY_SECONDS:
            return
        self._looked = time.monotonic()
        with suppress(psycopg.OperationalError):
            users = self._installation.broker_users()
            if users != self._users:
                self._users = users
                self._broker.reload(users, self._running.pid)


def _start(supervisor: Supervisor, var: Path, port: int, *, sim: bool, attack: bool) -> _Registry:
    require_port(port, "the console (another one: --port)")
    _say("starting database …")
    postgres = EmbeddedPostgres(var, service_account())
    installation = Installation(var, port, postgres.prepare())
    supervisor.start(postgres.child())
    create_database(installation.database.dsn(), DATABASE)
    migrate(
        installation.owner_dsn, Roles(installation.secret("ingest-database"), installation.secret("trace-database"))
    )
    _say("starting the demo brand, with a print job of fresh codes …" if sim else "starting the demo brand …")
    _seed(installation)
    _say("starting broker …")
    broker = Broker(var, installation.broker_users())
    installation = replace(installation, broker_port=broker.prepare())
    registry = _Registry(installation, broker, supervisor.start(broker.child()))
    _say("starting ingest, trace worker and console …")
    for child in installation.server_children():
        supervisor.start(child)
    desks: dict[str, dict[str, str]] = {}
    if sim:
        _say("starting two stations, four shelves and a market …")
        desks = _desks(installation)
        _start_devices(supervisor, installation, desks, attack=attack)
    _tell(installation, desks, sim=sim, attack=attack)
    return registry


def _seed(installation: Installation) -> None:
    installation.market.parent.mkdir(parents=True, exist_ok=True)
    command = codefence("trace", "demo", "--out", installation.market, "--password-file", installation.password_file)
    made = subprocess.run(command, env=installation.trace_environment(), capture_output=True, text=True, check=False)
    if made.returncode != 0:
        raise StartError(f"the demo data could not be made:\n{made.stderr.strip()}")


def _desks(installation: Installation) -> dict[str, dict[str, str]]:
    """Return for each station its token, the key of its manifests, and a free port for its screen."""
    environment = installation.trace_environment()
    keys = KeyWrapper(SecretStr(environment["TRACE_KEY_ENCRYPTION_KEY"]))
    ports = installation.var / "stations"
    ports.mkdir(parents=True, exist_ok=True)
    with connect(environment["TRACE_DATABASE_URL"], "up") as connection:
        key = base64.b64encode(signing_key(connection, keys).public).decode()
        return {
            device: {
                "EDGE_MANIFEST_KEY": key,
                "EDGE_TRACE_TOKEN": issue_token(connection, device),
                "EDGE_KIOSK_PORT": str(kept_port(ports / f"{device}.port")),
            }
            for device in STATIONS
        }


def _start_devices(
    supervisor: Supervisor, installation: Installation, desks: Mapping[str, Mapping[str, str]], *, attack: bool
) -> None:
    controllers, market = installation.simulators(attack=attack)
    shelves = json.loads(installation.market.read_text("utf-8"))["shelves"]
    with connect(installation.trace_environment()["TRACE_DATABASE_URL"], "up") as connection:
        tokens = {shelf["device"]: issue_token(connection, shelf["device"]) for shelf in shelves}
    supervisor.start(controllers)
    for shelf in shelves:
        child = installation.shelf(shelf["device"], shelf["site"], tokens[shelf["device"]])
        planogram = [{key: entry[key] for key in ("channel", "gtin", "unit_weight_g")} for entry in shelf["channels"]]
        (installation.var / "shelves" / f"{shelf['device']}.json").write_text(json.dumps(planogram), encoding="utf-8")
        supervisor.start(child)
    for device, site in STATIONS.items():
        supervisor.start(installation.station(device, site, desks[device]))
    supervisor.start(market)


def _tell(installation: Installation, desks: Mapping[str, Mapping[str, str]], *, sim: bool, attack: bool) -> None:
    lines = [
        "",
        "Codefence is up.",
        f"  console   http://127.0.0.1:{installation.console_port}",
        f"  log in    {DEMO_LOGIN} / {installation.secret('demo')}",
    ]
    if sim and attack:
        lines += ["  look at   Alerts: one dealer's cases turn up in a foreign city, within about a minute"]
    elif sim:
        lines += ["  look at   Alerts: stays empty, the market is honest"]
    if sim:
        lines += ["            Proposals: a shelf falls below its reorder line, within about a minute"]
        screens = ", ".join(f"http://127.0.0.1:{desk['EDGE_KIOSK_PORT']}" for desk in desks.values())
        lines += ["            Orders: each order's countdown, its scans and its delivery document"]
        lines += [f"  screens   {screens}  (packing, shipping)"]
    lines += [
        f"  broker    mqtt://127.0.0.1:{installation.broker_port}  (codefence device add … lets your own devices in)",
        f"  logs      {installation.var / 'log'}",
        "  stop      Ctrl-C",
        "",
    ]
    _say("\n".join(lines))


def _say(text: str) -> None:
    click.echo(text, err=True)
    sys.stderr.flush()
