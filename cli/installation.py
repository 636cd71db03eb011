"""One installation below `./var`: its folders, its secrets, and how each of its processes is started."""

import base64
import http.client
import os
import secrets
import sys
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from cli.embedded.broker import BrokerUser
from cli.embedded.files import kept_secret, write_private
from cli.embedded.postgres import Database
from cli.embedded.process import Child
from cli.embedded.users import INGEST, device_user, ingest_user

DATABASE = "codefence"
DEMO_LOGIN = "demo"
STATIONS: Mapping[str, str] = {"station-pack": "factory", "station-ship": "dc-east"}
GATEWAY = "gateway-market"
_CODES_IN_A_PACK_PHOTO = 7  # a case of six and its own label


@dataclass(frozen=True)
class Installation:
    """Paths and secrets of the folder `var`; every secret is random, made on first use and readable by its owner."""

    var: Path
    console_port: int
    database: Database = field(repr=False)
    broker_port: int = 0

    def secret(self, name: str) -> str:
        """Return the secret kept under `name`."""
        return kept_secret(self.var / "secrets" / name)

    @property
    def owner_dsn(self) -> str:
        """The database as its owner, for migrations."""
        return self.database.dsn(DATABASE)

    @property
    def market(self) -> Path:
        """The print job and the lie of the land, from which the simulators play."""
        return self.var / "demo" / "market.json"

    @property
    def password_file(self) -> Path:
        """The file that holds the demo account's password."""
        self.secret("demo")
        return self.var / "secrets" / "demo"

    def broker_users(self) -> list[BrokerUser]:
        """Return an account for ingest and one for every registered device."""
        with psycopg.connect(self.owner_dsn) as connection:
            devices = connection.execute(
                "SELECT site, id FROM landing.device WHERE retired_at IS NULL ORDER BY id"
            ).fetchall()
        users = [device_user(site, device, self.device_secret(device)) for site, device in devices]
        return [*users, ingest_user(self.secret("ingest-broker"))]

    def device_secret(self, device: str) -> str:
        """Return a device's password on the broker."""
        return self.secret(f"device-{device}")

    def trace_environment(self) -> dict[str, str]:
        """Return the environment of `codefence trace …`."""
        return {
            **_base_environment(),
            "TRACE_DATABASE_URL": self._role_dsn("codefence_trace", self.secret("trace-database")),
            "TRACE_OWNER_URL": self.owner_dsn,
            "TRACE_INGEST_PASSWORD": self.secret("ingest-database"),
            "TRACE_TRACE_PASSWORD": self.secret("trace-database"),
            "TRACE_KEY_ENCRYPTION_KEY": self._key_encryption_key(),
            "TRACE_HTTP_PORT": str(self.console_port),
            "TRACE_CONSOLE_URL": f"http://127.0.0.1:{self.console_port}",
            **{name: value for name, value in os.environ.items() if name.startswith("TRACE_SMTP_")},
            "TRACE_INDEX_FOLDER": str(self.var / "index"),
            # A trial receiver on this machine may be told of events, without TLS.
            "TRACE_WEBHOOK_NETWORKS": '["127.0.0.0/8", "::1/128"]',
        }

    def serving_environment(self) -> dict[str, str]:
        """Return what worker and console get: nothing that owns the schema."""
        owner_only = {"TRACE_OWNER_URL", "TRACE_INGEST_PASSWORD", "TRACE_TRACE_PASSWORD"}
        return {name: value for name, value in self.trace_environment().items() if name not in owner_only}

    def server_children(self) -> list[Child]:
        """Return ingest, worker, webhooks and console, in the order in which they start."""
        ingest = {
            **_base_environment(),
            "INGEST_DATABASE_URL": self._role_dsn("codefence_ingest", self.secret("ingest-database")),
            "INGEST_BROKER_PORT": str(self.broker_port),
            "INGEST_BROKER_USER": INGEST,
            # A session belongs to whoever knows the client id, so this one must not be guessed.
            "INGEST_CLIENT_ID": f"ingest-{self.secret('ingest-client')}",
            "INGEST_BROKER_PASSWORD": self.secret("ingest-broker"),
        }
        trace = self.serving_environment()
        return [
            Child("ingest", codefence("ingest", "run"), ingest),
            Child("worker", codefence("trace", "worker"), trace),
            Child("webhooks", codefence("trace", "webhooks"), trace),
            Child("console", codefence("trace", "web"), trace, ready=self.console_answers),
        ]

    def station(self, device: str, site: str, desk: Mapping[str, str] | None = None) -> Child:
        """Return a scanning station that reads the photos dropped into its folder; `desk` tells of its manifest.

        It only advises: here goods are packed and loaded within seconds, faster than manifests come.
        """
        home = self.var / "stations" / device
        (home / "in").mkdir(parents=True, exist_ok=True)
        environment = {**self._device_environment(device, site, home), "EDGE_SOURCE": f"folder:{home / 'in'}"}
        if desk:
            environment |= {**desk, "EDGE_TRACE_URL": f"http://127.0.0.1:{self.console_port}", "EDGE_ENFORCE": "false"}
        if site == "factory":
            environment |= {"EDGE_ACTIVITY": "pack", "EDGE_EXPECTED": str(_CODES_IN_A_PACK_PHOTO)}
        else:
            environment["EDGE_ACTIVITY"] = "ship"
        return Child(device, codefence("edge", "station"), environment)

    def shelf(self, device: str, site: str, token: str) -> Child:
        """Return a shelf agent that polls the controller behind its serial line, and is told of refills."""
        home = self.var / "shelves" / device
        home.mkdir(parents=True, exist_ok=True)
        environment = {
            **self._device_environment(device, site, home),
            "EDGE_SERIAL": str(self.var / "shelves" / f"{device}.tty"),
            "EDGE_PLANOGRAM": str(self.var / "shelves" / f"{device}.json"),
            "EDGE_TRACE_URL": f"http://127.0.0.1:{self.console_port}",
            "EDGE_TRACE_TOKEN": token,
        }
        return Child(device, codefence("edge", "shelf"), environment)

    def simulators(self, *, attack: bool) -> list[Child]:
        """Return the shelf controllers and the market."""
        home = self.var / "demo"
        shelves = codefence("simulate", "shelves", "--world", self.market, "--links", self.var / "shelves")
        market = codefence("simulate", "market", "--world", self.market, "--stations", self.var / "stations")
        market += ["--broker-port", str(self.broker_port), "--user", GATEWAY]
        self.device_secret(GATEWAY)
        market += ["--password-file", str(self.var / "secrets" / f"device-{GATEWAY}")]
        return [
            Child("shelf-controllers", [*shelves, "--state", str(home / "shelves.json")], _base_environment()),
            Child("market", [*market, *([] if attack else ["--no-attack"])], _base_environment()),
        ]

    def console_answers(self) -> bool:
        """Tell whether the console is up and its database current."""
        connection = http.client.HTTPConnection("127.0.0.1", self.console_port, timeout=5)
        with suppress(OSError, http.client.HTTPException), closing(connection):
            connection.request("GET", "/readyz")
            return connection.getresponse().status == http.HTTPStatus.OK
        return False

    def _device_environment(self, device: str, site: str, home: Path) -> dict[str, str]:
        return {
            **_base_environment(),
            "EDGE_DEVICE": device,
            "EDGE_SITE": site,
            "EDGE_BROKER_PORT": str(self.broker_port),
            "EDGE_BROKER_PASSWORD": self.device_secret(device),
            "EDGE_DATA": str(home),
        }

    def _role_dsn(self, role: str, password: str) -> str:
        return Database(self.database.host, self.database.port, role, password).dsn(DATABASE)

    def _key_encryption_key(self) -> str:
        path = self.var / "secrets" / "key-encryption-key"
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_private(path, base64.b64encode(secrets.token_bytes(32)).decode("ascii"))
        return path.read_text(encoding="ascii").strip()


def codefence(*arguments: object) -> list[str]:
    """Return the command line of one of our own sub-commands."""
    return [str(Path(sys.executable).with_name("codefence")), *map(str, arguments)]


def _base_environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, "PYTHONUNBUFFERED": "1"}
