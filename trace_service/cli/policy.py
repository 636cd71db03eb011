"""`codefence trace policy`: from which probability on a scan counts as inside or outside of a territory."""

import getpass
from typing import Final

import click

from geofence.finding import DEFAULT_POLICY, Policy
from trace_service.bootstrap import load_settings
from trace_service.cli_parts import echo_rows, reported
from trace_service.policies import policy_history, set_policy
from trace_service.store.connection import connect

_SET: Final = """\b
Example:
  codefence trace policy set --brand qingyuan --inside 0.95 --outside 0.02

\b
Exit codes:
  0  recorded
  1  no such brand, or thresholds that leave no room between them
"""
_SHOW: Final = "\b\nExample:\n  codefence trace policy show --brand qingyuan --json"


@click.group()
def policy() -> None:
    """Set the thresholds by which a brand's scans are judged."""


@policy.command("set", epilog=_SET)
@click.option("--brand", required=True, help="The brand whose scans are judged by it.")
@click.option("--inside", type=click.FloatRange(0, 1), default=DEFAULT_POLICY.inside_at, show_default=True,
              help="Inside from this probability upwards.")  # fmt: skip
@click.option("--outside", type=click.FloatRange(0, 1), default=DEFAULT_POLICY.outside_at, show_default=True,
              help="Outside from this probability downwards; uncertain between the two.")  # fmt: skip
@reported
def set_(*, brand: str, inside: float, outside: float) -> None:
    """Record thresholds; workers take them up with their next batch, and past verdicts stay."""
    wanted = Policy(inside, outside)
    with connect(load_settings().database_url.get_secret_value(), "trace policy") as connection:
        set_policy(connection, brand, wanted, getpass.getuser())
    click.echo(f"{brand}: inside from {inside:g}, outside to {outside:g}", err=True)


@policy.command(epilog=_SHOW)
@click.option("--brand", help="Only this brand.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line.")
@reported
def show(*, brand: str | None, as_json: bool) -> None:
    """Show what was set, the latest first; a brand without a row goes by 0.9 and 0.05."""
    with connect(load_settings().database_url.get_secret_value(), "trace policy") as connection:
        echo_rows([row._asdict() for row in policy_history(connection, brand)], as_json=as_json)
