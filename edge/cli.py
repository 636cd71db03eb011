"""The group `codefence edge`."""

import click

from edge.agent_cli import hub, outbox, shelf, station


@click.group()
def edge() -> None:
    """Run a scanning station, a site's hub or a shelf agent."""


for _command in (station, shelf, hub, outbox):
    edge.add_command(_command)
