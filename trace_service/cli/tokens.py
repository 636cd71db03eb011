"""`codefence trace token`: who may call the interfaces of a brand."""

from datetime import timedelta
from typing import Final

import click

from contracts.wording import counted
from trace_service.bootstrap import load_settings
from trace_service.cli_parts import echo_rows, reported
from trace_service.store.connection import connect
from trace_service.tokens import SCOPES, add_token, list_tokens, revoke_token

_YEAR = 365
_ADD: Final = """\b
Example:
  codefence trace token add erp --brand qingyuan --scope orders --scope check > erp.token

\b
Exit codes:
  0  the token is on standard output, this once
  1  no such brand, or the name is in use
"""
_LIST: Final = "\b\nExample:\n  codefence trace token list --brand qingyuan --json"
_REVOKE: Final = "\b\nExample:\n  codefence trace token revoke erp --brand qingyuan"


@click.group()
def token() -> None:
    """Manage the tokens that partners call the interfaces with."""


@token.command(epilog=_ADD)
@click.argument("name")
@click.option("--brand", required=True, help="The brand whose data the token reaches.")
@click.option("--scope", "scopes", type=click.Choice(SCOPES), multiple=True, required=True, help="May be repeated.")
@click.option("--days", type=click.IntRange(1, 3650), default=_YEAR, show_default=True, help="How long it is valid.")
@reported
def add(name: str, *, brand: str, scopes: tuple[str, ...], days: int) -> None:
    """Make a token and print it; it is not stored and cannot be shown again."""
    with connect(load_settings().database_url.get_secret_value(), "trace token") as connection:
        made = add_token(connection, brand, name, scopes, timedelta(days=days))
    click.echo(f"{name} may use {', '.join(sorted(scopes))} of {brand} for {counted(days, 'day')}", err=True)
    click.echo(made)


@token.command("list", epilog=_LIST)
@click.option("--brand", help="Only this brand's tokens.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line.")
@reported
def list_(*, brand: str | None, as_json: bool) -> None:
    """List tokens with scopes, expiry, last use and revocation."""
    with connect(load_settings().database_url.get_secret_value(), "trace token") as connection:
        echo_rows([row._asdict() for row in list_tokens(connection, brand)], as_json=as_json)


@token.command(epilog=_REVOKE)
@click.argument("name")
@click.option("--brand", required=True, help="The brand that the token belongs to.")
@reported
def revoke(name: str, *, brand: str) -> None:
    """Make a token worthless at once."""
    with connect(load_settings().database_url.get_secret_value(), "trace token") as connection:
        revoke_token(connection, brand, name)
    click.echo(f"{name} of {brand} is revoked", err=True)
