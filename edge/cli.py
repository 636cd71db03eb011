"""The group `codefence edge`."""

import click

from edge.agent_cli import outbox, shelf, station


@click.group()
def edge() -> None:
    """Run a scanning station or a shelf agent."""


for _command in (station, shelf, outbox):
    edge.add_command(_command)
