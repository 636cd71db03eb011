"""The `codefence` command: mounts every package's own sub-commands, loading each only when it is called."""

import importlib
import importlib.metadata
from collections.abc import Mapping
from typing import Final, NamedTuple

import click


class Entry(NamedTuple):
    """Where a sub-command lives, the extra that installs what it needs, and its line in the list of commands."""

    target: str
    extra: str
    summary: str


COMMANDS: Mapping[str, Entry] = {
    "up": Entry("cli.up:up", "embedded", "Start the whole system on embedded parts."),
    "tour": Entry("cli.tour:tour", "embedded", "Follow one bottle from the factory to the consumer."),
    "device": Entry("cli.device:device", "embedded", "Let your own devices in."),
    "doctor": Entry("cli.doctor:doctor", "embedded", "Check this machine and print remedies."),
    "test": Entry("cli.test:test", "dev", "Run every test."),
    "soak": Entry("cli.soak:soak", "dev", "Kill parts of a running system over and over, then count."),
    "bench": Entry("benchmarks.cli:bench", "dev", "Run a benchmark beside its obvious alternatives."),
    "config": Entry("cli.config:config", "server", "Show every setting, secrets redacted."),
    "scan": Entry("edge.scan_cli:scan", "edge", "Read the codes in image files and folders."),
    "edge": Entry("edge.cli:edge", "edge", "Run a scanning station or a shelf agent."),
    "shelf": Entry("cli.shelf:shelf", "edge", "Calibrate a shelf; take goods off a simulated one."),
    "ingest": Entry("ingest.cli.group:ingest", "server", "Store what devices publish; acknowledge what is committed."),
    "audit": Entry("ingest.cli.audit:audit", "server", "Prove what became of every captured event."),
    "trace": Entry("trace_service.cli.group:trace", "server", "Migrate the database; run worker and console."),
    "epcis": Entry("trace_service.epcis.cli:epcis", "server", "Check, hash and export EPCIS 2.0 documents."),
    "codes": Entry("trace_service.codes.cli.group:codes", "server", "Read, issue and verify codes."),
    "labels": Entry("trace_service.labels.cli:labels", "labels", "Print labels of items, cases and pallets."),
    "orders": Entry("trace_service.orders.cli:orders", "server", "Take outbound orders and follow their loading."),
    "territory": Entry(
        "cli.geography.territory:territory", "server", "Propose, check and publish territories; try them."
    ),
    "case": Entry("trace_service.cli.cases:case", "server", "Follow cases; pack and verify their evidence."),
    "inspect": Entry("trace_service.inspections.cli:inspect", "server", "Plan where inspectors look next."),
    "geofence": Entry("cli.geography.geofence:geofence", "server", "Judge positions against territories."),
    "backtest": Entry("cli.backtest:backtest", "server", "Run the detection engine over a world and score its alerts."),
    "fence": Entry("cli.geography.fence:fence", "edge", "Make, show and ask the signed fence of a site or truck."),
    "trip": Entry("cli.geography.trip:trip", "embedded", "Judge a truck's track against its plan."),
    "coords": Entry("cli.geography.coords:coords", "embedded", "Convert positions between WGS-84, GCJ-02 and BD-09."),
    "channel": Entry("trace_service.channel.cli:channel", "server", "Import and export products, dealers, contracts."),
    "replenish": Entry("cli.replenish.group:replenish", "server", "Try policies on your own demand; plan orders."),
    "simulate": Entry("firmware_sim.cli:simulate", "embedded", "Emulate shelves, labels and a market."),
    "world": Entry("firmware_sim.world.cli:world", "embedded", "Generate networks with known truth; play them."),
}


class LazyGroup(click.Group):
    """A group whose sub-commands are imported on use, so that each extra stays optional."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which a newcomer meets them."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one sub-command; say which extra is missing where its packages are absent."""
        del ctx
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module, _, attribute = entry.target.partition(":")
        try:
            loaded = importlib.import_module(module)
        except ModuleNotFoundError as error:
            raise click.ClickException(
                f"'codefence {cmd_name}' needs the package {error.name!r}: pip install 'codefence[{entry.extra}]'"
            ) from error
        command: click.Command = getattr(loaded, attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing any of them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])


_EXAMPLES: Final = """\b
Examples:
  codefence up                     the whole system, with a simulated market
  codefence scan label.jpg --json  read the codes in a photo
  codefence doctor                 what is missing on this machine
"""


@click.command(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog=_EXAMPLES,
)
@click.version_option(importlib.metadata.version("codefence"), prog_name="codefence")
def main() -> None:
    """Codefence (码界): one code per item, and a watch on where it goes."""
