"""`codefence trace account mail`: where an account's mail goes, and of what it gets any."""

import re
from typing import Final

import click

from contracts.errors import ConfigurationError
from trace_service.bootstrap import load_settings
from trace_service.cli_parts import reported
from trace_service.notify.queries import SQL
from trace_service.store.connection import connect
from trace_service.webhooks.topics import WORDED, require_told

_ADDRESS: Final = re.compile(r"[^@\s]+@[^@\s]+")
_LONGEST: Final = 254
_EXAMPLE: Final = """\b
Example:
  codefence trace account mail li.wei --address li.wei@example.com --topic 'case.*' --topic digest.daily
"""


@click.command(epilog=_EXAMPLE)
@click.argument("login")
@click.option("--address", help="Where mail goes; none without it.")
@click.option("--topic", "topics", multiple=True, help="case.opened, case.*, digest.daily or *; may be repeated.")
@reported
def mail(login: str, *, address: str | None, topics: tuple[str, ...]) -> None:
    """Choose of what an account gets mail; each call replaces what was chosen before."""
    if address is not None and (not _ADDRESS.fullmatch(address) or len(address) > _LONGEST):
        raise ConfigurationError(f"{address!r} is no mail address", advice="Such as li.wei@example.com.")
    require_told(topics, WORDED)
    wanted = sorted(set(topics))
    row = {"login": login, "email": address, "topics": wanted}
    with connect(load_settings().database_url.get_secret_value(), "trace account") as connection:
        if connection.execute(SQL["set_mail"], row).fetchone() is None:
            raise ConfigurationError(f"no account is called {login!r}", advice="Add it: codefence trace account add.")
    click.echo(f"{login}: {', '.join(wanted) or 'no mail'}", err=True)
