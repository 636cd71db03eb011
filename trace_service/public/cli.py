"""`codefence trace links`: where a brand's codes lead."""

import re
from typing import Final

import click
from psycopg.errors import CheckViolation, ForeignKeyViolation, UniqueViolation

from contracts.errors import ConfigurationError
from trace_service.bootstrap import load_settings
from trace_service.cli_parts import echo_rows, reported
from trace_service.public.links import LINK_TYPE, VERIFICATION, check_target
from trace_service.public.queries import SQL
from trace_service.store.connection import Connection, connect

_ADD: Final = """\b
Example:
  codefence trace links add gs1:pip 'https://qingyuan.example/p/{gtin}' 产品信息 --brand qingyuan --default

\b
Exit codes:
  0  the link is in use from the next request on
  1  no such brand or product, not a plain https address, or a link of that type is in use
"""
_LIST: Final = "\b\nExample:\n  codefence trace links list --brand qingyuan --json"
_REMOVE: Final = "\b\nExample:\n  codefence trace links remove 7 --brand qingyuan"


@click.group()
def links() -> None:
    """Manage where the codes of a brand lead besides the verification page."""


def _connect() -> Connection:
    return connect(load_settings().database_url.get_secret_value(), "trace links")


@links.command(epilog=_ADD)
@click.argument("link_type")
@click.argument("target")
@click.argument("title")
@click.option("--brand", required=True, help="The brand whose codes lead there.")
@click.option("--gtin", help="Only this product's codes; it then takes the place of the brand's own link of that type.")
@click.option("--language", type=click.Choice(["zh", "en"]), help="For readers of this language; otherwise for all.")
@click.option("--default", "is_default", is_flag=True, help="Where programs are sent that ask for no link type.")
@reported
def add(link_type: str, target: str, **row: str | bool | None) -> None:
    """Add a link of a type of GS1's vocabulary, such as gs1:pip or gs1:instructions, and print its number.

    TARGET is an https address; {gtin}, {lot} and {serial} behind its host are filled in. TITLE is what readers see.
    """
    if re.fullmatch(LINK_TYPE, link_type) is None or link_type == VERIFICATION:
        raise ConfigurationError(f"{link_type!r} is no link type for a brand", advice="One looks like gs1:pip.")
    row |= {"link_type": link_type, "target": check_target(target)}
    with _connect() as connection:
        try:
            added = connection.execute(SQL["add_link"], row).fetchone()
        except ForeignKeyViolation as error:
            raise ConfigurationError("no such brand or product", advice="Register it first.") from error
        except UniqueViolation as error:
            raise ConfigurationError(
                "such a link, or such a default, is in use", advice="Remove it: codefence trace links list."
            ) from error
        except CheckViolation as error:
            raise ConfigurationError(
                "the title or the address is too long", advice="At most 200 and 2,000 characters."
            ) from error
    click.echo(added[0] if added else "")


@links.command("list", epilog=_LIST)
@click.option("--brand", help="Only this brand's links.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line.")
@reported
def list_(*, brand: str | None, as_json: bool) -> None:
    """List the links in use."""
    with _connect() as connection:
        rows = connection.execute(SQL["list_links"], {"brand": brand}).fetchall()
    echo_rows([row._asdict() for row in rows], as_json=as_json)


@links.command(epilog=_REMOVE)
@click.argument("number", type=int)
@click.option("--brand", required=True, help="The brand that the link belongs to.")
@reported
def remove(number: int, *, brand: str) -> None:
    """Take a link out of use; it stays on record."""
    with _connect() as connection:
        if connection.execute(SQL["remove_link"], {"id": number, "brand": brand}).fetchone() is None:
            raise ConfigurationError(f"{brand} has no link {number}", advice="See codefence trace links list.")
    click.echo(f"link {number} is removed", err=True)
