"""`codefence tour`: the whole path of a bottle on embedded parts, told in the terminal and as a page."""

import logging
import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

import click
import structlog

from cli.embedded.binaries import service_account
from cli.embedded.broker import Broker
from cli.embedded.files import kept_port, prepare_folder
from cli.embedded.postgres import EmbeddedPostgres, create_database
from cli.embedded.supervisor import Supervisor
from cli.installation import DATABASE, Installation
from cli.touring import story, world
from cli.touring.page import write_page
from cli.touring.stage import Stage
from contracts.errors import CodefenceError
from trace_service.schema.migrate import Roles, migrate
from trace_service.web.build_assets import ensure_assets

_EXAMPLES: Final = """\b
Example:
  codefence tour --out tour       then open tour/tour.html

\b
Exit codes:
  0  every act went as told
  1  something could not be started or went otherwise; the message says what
"""


@click.command(epilog=_EXAMPLES)
@click.option("--out", default="tour", show_default=True, type=click.Path(file_okay=False, path_type=Path),
              help="A new folder for the page, the labels, the documents and the system's data.")  # fmt: skip
def tour(out: Path) -> None:
    """Follow one bottle from the factory over a pallet and five levels of dealers to the consumer: about a minute."""
    if out.exists():
        raise click.ClickException(f"{out} exists already\n  Name another folder with --out, or remove it.")
    # The processes' comings and goings stand in the logs; here they would interrupt the story.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    try:
        ensure_assets(_say)
        with Supervisor(out / "var") as supervisor:
            acts = _play(supervisor, out.resolve())
    except CodefenceError as error:
        raise click.ClickException(f"{error.message}\n  {error.advice}" if error.advice else error.message) from error
    _say(f"{acts} acts; look at {out / 'tour.html'}")


def _play(supervisor: Supervisor, folder: Path) -> int:
    var = prepare_folder(folder / "var")
    _say("starting an empty database …")
    postgres = EmbeddedPostgres(var, service_account())
    installation = Installation(var, kept_port(var / "console-port"), postgres.prepare())
    supervisor.start(postgres.child())
    create_database(installation.database.dsn(), DATABASE)
    passwords = Roles(installation.secret("ingest-database"), installation.secret("trace-database"))
    migrate(installation.owner_dsn, passwords)
    stage = Stage(installation, folder, _say)
    goods = story.Goods()
    story.set_up_channel(stage)
    story.print_labels(stage, goods)
    _say("starting broker, ingest, trace worker, console and a scanning station …")
    broker = Broker(var, installation.broker_users())
    stage.installation = replace(installation, broker_port=broker.prepare())
    supervisor.start(broker.child())
    for child in stage.installation.server_children():
        supervisor.start(child)
    supervisor.start(stage.installation.station(world.STATION, world.DOCK_SITE))
    packed = story.build_pallet(stage, goods)
    story.load_pallet(stage, goods, var / "stations" / world.STATION / "in")
    moments = [(world.FACTORY, packed), *story.hand_down(stage, goods)]
    story.consumer_scans(stage, goods)
    story.tell_life(stage, goods, moments)
    write_page(folder / "tour.html", stage.acts)
    return len(stage.acts)


def _say(text: str) -> None:
    click.echo(text, err=True)
    sys.stderr.flush()
