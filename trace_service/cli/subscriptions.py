"""`codefence trace webhook` manages subscriptions."""

from datetime import timedelta
from typing import Final, TextIO
from uuid import UUID

import click

from contracts.wording import counted
from trace_service.bootstrap import load_settings
from trace_service.cases.telling import given_up, tell_again
from trace_service.cli_parts import echo_rows, reported
from trace_service.keys import KeyWrapper
from trace_service.notify.robots import FORMATS, SIGNED
from trace_service.store.connection import Connection, connect
from trace_service.webhooks import outbox

_ADD: Final = """\b
Examples:
  codefence trace webhook add https://erp.example.com/codefence --brand qingyuan --topic 'order.*' > secret
  codefence trace webhook add 'https://oapi.dingtalk.com/robot/send?access_token=…' --brand qingyuan \\
      --topic 'case.*' --topic digest.daily --format dingtalk --robot-secret secret

\b
Exit codes:
  0  the secret is on standard output, this once
  1  no such brand or topic, or an address that may not be delivered to
  2  wrong usage, such as a robot's secret for what is not signed with one
"""
_LIST: Final = "\b\nExample:\n  codefence trace webhook list --brand qingyuan --json"
_REMOVE: Final = "\b\nExample:\n  codefence trace webhook remove 7"
_ROTATE: Final = """\b
Examples:
  codefence trace webhook rotate 7 > secret
  codefence trace webhook rotate 7 --hours 0 > secret    the old one was stolen
"""
_REPLAY: Final = """\b
Examples:
  codefence trace webhook replay 7
  codefence trace webhook replay 7 --message 0b9d3c5e-6f1a-4f61-9d15-1d7d8f0a2c11
"""
_UNTOLD: Final = """\b
Examples:
  codefence trace webhook untold --json
  codefence trace webhook untold --brand qingyuan --again
"""


@click.group()
def webhook() -> None:
    """Manage who is told of orders, proposals, alerts, cases and trips."""


def _database() -> Connection:
    return connect(load_settings().database_url.get_secret_value(), "trace webhook")


@webhook.command(epilog=_ADD)
@click.argument("url")
@click.option("--brand", required=True, help="Whose events are told.")
@click.option("--topic", "topics", multiple=True, required=True, help="order.accepted, order.* or *; may be repeated.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="codefence", show_default=True,
              help="Our own, or that of a chat group's robot.")  # fmt: skip
@click.option("--robot-secret", type=click.File(), help="A file with the secret that the robot's own page shows.")
@reported
def add(url: str, *, brand: str, topics: tuple[str, ...], form: str, robot_secret: TextIO | None) -> None:
    """Subscribe an address and print the secret that its messages are signed with, this once."""
    signed = _secret_of(robot_secret, form)
    settings = load_settings()
    target = outbox.Target(brand, url, form, signed)
    with _database() as connection:
        keys = KeyWrapper(settings.key_encryption_key)
        made = outbox.subscribe(connection, keys, settings.webhook_networks, target, topics)
    click.echo(f"webhook {made.id} is subscribed to {', '.join(sorted(topics))}", err=True)
    if form == "codefence":
        click.echo(made.secret)


def _secret_of(file: TextIO | None, form: str) -> str | None:
    if file is None:
        return None
    if form not in SIGNED:
        raise click.BadParameter(f"only robots of {' and '.join(SIGNED)} have one", param_hint="--robot-secret")
    secret = file.read().strip()
    if not secret:
        raise click.BadParameter("the file is empty", param_hint="--robot-secret")
    return secret


@webhook.command("list", epilog=_LIST)
@click.option("--brand", help="Only this brand's.")
@click.option("--dead", is_flag=True, help="The messages that were given up, with the last answer or error.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line.")
@reported
def list_(*, brand: str | None, dead: bool, as_json: bool) -> None:
    """List subscriptions with how many messages wait, went out or are dead."""
    with _database() as connection:
        rows = outbox.dead_letters(connection, brand) if dead else outbox.subscriptions(connection, brand)
    echo_rows([row._asdict() for row in rows], as_json=as_json)


@webhook.command(epilog=_ROTATE)
@click.argument("number", type=click.IntRange(1, 2**31 - 1))
@click.option("--hours", type=click.IntRange(0, 720), default=24, show_default=True,
              help="How long the old secret signs beside the new one.")  # fmt: skip
@reported
def rotate(number: int, *, hours: int) -> None:
    """Replace a subscription's secret and print the new one, this once."""
    settings = load_settings()
    with _database() as connection:
        made = outbox.rotate(connection, KeyWrapper(settings.key_encryption_key), number, timedelta(hours=hours))
    click.echo(f"webhook {number} has a new secret; the old one signs beside it for {counted(hours, 'hour')}", err=True)
    click.echo(made.secret)


@webhook.command(epilog=_REMOVE)
@click.argument("number", type=click.IntRange(1, 2**31 - 1))
@reported
def remove(number: int) -> None:
    """End a subscription; what still waits for it is given up."""
    with _database() as connection:
        outbox.unsubscribe(connection, number)
    click.echo(f"webhook {number} is removed", err=True)


@webhook.command(epilog=_REPLAY)
@click.argument("number", type=click.IntRange(1, 2**31 - 1))
@click.option("--message", type=click.UUID, help="Only this message, also when it was delivered before.")
@reported
def replay(number: int, *, message: UUID | None) -> None:
    """Send a subscription's dead letters again, in their old order and under their old ids."""
    with _database() as connection:
        count = outbox.replay(connection, number, message)
    click.echo(f"queued again: {counted(count, 'message')}", err=True)


@webhook.command(epilog=_UNTOLD)
@click.option("--brand", help="Only this brand's.")
@click.option("--again", is_flag=True, help="Also queue them again, in their old order.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line.")
@reported
def untold(*, brand: str | None, again: bool, as_json: bool) -> None:
    """List messages of cases that were given up before they reached any subscription, with the last error."""
    with _database() as connection:
        rows = given_up(connection, brand)
        count = tell_again(connection, brand) if again else 0
    echo_rows([row._asdict() for row in rows], as_json=as_json)
    if again:
        click.echo(f"queued again: {counted(count, 'message')}", err=True)
