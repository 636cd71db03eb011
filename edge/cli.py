"""The group `codefence edge`."""

import click

from edge.agent_cli import camera, hub, outbox, shelf, station


@click.group()
def edge() -> None:
    """Run a scanning station, a site's hub, or the agent of a shelf or its camera."""


for _command in (station, shelf, camera, hub, outbox):
    edge.add_command(_command)
