"""`codefence device`: let one's own scanners, shelves and gateways into a running `codefence up`."""

import json
from pathlib import Path
from typing import Final

import click
import psycopg

from cli.embedded.postgres import Database
from cli.installation import Installation
from contracts.errors import CodefenceError, ConfigurationError
from contracts.topics import NAME, RESERVED_PREFIX, ack_topic, command_topic, is_reserved, partition


@click.group()
def device() -> None:
    """Register one's own devices with a running `codefence up`."""


_EXAMPLES: Final = """\b
Examples:
  codefence device add my-scanner --site dc-east --kind station
  codefence device add my-shelf --site S-CHENGDU-01 --kind shelf --json
"""


@device.command(epilog=_EXAMPLES)
@click.argument("name")
@click.option("--site", required=True, help="Id of the site where it stands; an unknown one lists those that exist.")
@click.option("--kind", required=True, type=click.Choice(["station", "shelf", "gateway"]), help="What it is.")
@click.option("--var", default="var", show_default=True, type=click.Path(file_okay=False, path_type=Path),
              help="Folder of the running `codefence up`.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def add(*, name: str, site: str, kind: str, var: Path, as_json: bool) -> None:
    """Register a device and print what it needs to connect; the broker knows it within five seconds."""
    try:
        installation = running_installation(var)
        _register(installation.owner_dsn, name, site, kind)
    except CodefenceError as error:
        raise click.ClickException(f"{error.message}\n  {error.advice}") from error
    facts = _facts(installation, name, site)
    if as_json:
        click.echo(json.dumps(facts))
    else:
        width = max(map(len, facts))
        click.echo("\n".join(f"{key:<{width}}  {value}" for key, value in facts.items()))


def running_installation(var: Path) -> Installation:
    """Return the installation whose parts run below `var`; raises `ConfigurationError` where none ever did."""
    home = var.resolve() / "postgres"
    try:
        database = Database(
            "127.0.0.1", _number(home / "port"), "postgres", (home / "password").read_text("utf-8").strip()
        )
        return Installation(
            var.resolve(), console_port=0, database=database, broker_port=_number(var / "broker" / "port")
        )
    except OSError as error:
        raise ConfigurationError(
            f"no Codefence runs on {var}",
            advice="Start it first: codefence up --no-sim, or name its folder with --var.",
        ) from error


def _number(path: Path) -> int:
    return int(path.read_text("ascii"))


def _register(dsn: str, name: str, site: str, kind: str) -> None:
    if NAME.fullmatch(name) is None:
        raise ConfigurationError(f"{name!r} is no device name", advice="Use 1-64 of A-Z a-z 0-9 _ and -.")
    if is_reserved(name):
        raise ConfigurationError(
            f"{name!r} is a name of ingest's own", advice=f"No device may be called {RESERVED_PREFIX}…: choose another."
        )
    try:
        with psycopg.connect(dsn, connect_timeout=5) as connection:
            sites = [known for (known,) in connection.execute("SELECT id FROM trace.site ORDER BY id")]
            if site not in sites:
                raise ConfigurationError(f"there is no site {site!r}", advice=f"Known sites: {', '.join(sites)}")
            added = connection.execute(
                "INSERT INTO landing.device (id, site, kind) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
                (name, site, kind),
            )
            if not added.rowcount:
                raise ConfigurationError(f"a device {name!r} is registered already", advice="Choose another name.")
    except psycopg.OperationalError as error:
        raise ConfigurationError(
            f"the database does not answer: {error}", advice="Is `codefence up` running?"
        ) from error


def _facts(installation: Installation, name: str, site: str) -> dict[str, str]:
    return {
        "EDGE_DEVICE": name,
        "EDGE_SITE": site,
        "EDGE_BROKER_HOST": "127.0.0.1",
        "EDGE_BROKER_PORT": str(installation.broker_port),
        "EDGE_BROKER_PASSWORD": installation.device_secret(name),
        "publishes to": f"v1/{site}/p{partition(name)}/{name}/scan|stock|env|status",
        "hears": f"{ack_topic(site, name)}  {command_topic(site, name)}",
    }
