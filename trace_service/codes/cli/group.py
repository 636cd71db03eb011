"""The command line of codes: `codefence codes`."""

import importlib
from collections.abc import Mapping
from typing import Final

import click

# Command → module:attribute, in the order in which they are listed. Each is imported when it is called: parsing
# millions of lines waits for no database driver.
_COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "parse": ("trace_service.codes.cli.parse:parse", "Read GS1 identifiers in any form, one a line."),
    "issue": ("trace_service.codes.cli.issue:issue", "Write serials, one a line, of a master or of a new batch."),
    "verify": ("trace_service.codes.cli.verify:verify", "Tell whether codes are genuine and issued, one a line."),
    "batches": ("trace_service.codes.cli.batches:batches", "List batches of codes."),
    "commission": ("trace_service.codes.cli.batches:commission", "Turn a batch's printed labels into goods."),
    "scrap": ("trace_service.codes.cli.batches:scrap", "Take labels out of their batches for good."),
    "keys": ("trace_service.codes.cli.keys:keys", "Begin a new epoch, list the epochs, kill one."),
}


class _LazyGroup(click.Group):
    """A group whose sub-commands are imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        module, _, attribute = _COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing any of them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in _COMMANDS.items()])


@click.group(cls=_LazyGroup)
def codes() -> None:
    """Read, issue and verify codes."""
