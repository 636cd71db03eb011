"""`codefence codes keys`: one random secret for each brand and epoch, wrapped at rest and never shown."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click
import msgspec

from contracts.errors import ConfigurationError
from contracts.tc20 import EPOCHS, Profile
from trace_service.bootstrap import load_settings
from trace_service.codes.keyring import KeyInfo, kill_epoch, list_epochs, rotate_epoch
from trace_service.codes.opened import opened
from trace_service.codes.reporting import OneLineCommand, RefusedError, reported
from trace_service.codes.values import PROFILE, TENANT
from trace_service.keys import KeyWrapper
from trace_service.store.connection import Connection, connect

_ROTATE = """\b
Example:
  codefence codes keys rotate --tenant acme --profile sm4

\b
Exit codes: 0 done; 1 the database cannot be reached; 2 refused
"""
_LIST = "\b\nExample:\n  codefence codes keys list --tenant acme --json"
_KILL = """\b
Example:
  codefence codes keys kill --tenant acme --epoch 3 --reason "stolen from the printer" --yes

\b
Exit codes: 0 killed; 1 the database cannot be reached; 2 refused
"""


@click.group()
def keys() -> None:
    """Manage the keys of codes: a new epoch each year or after an incident, old ones verify only."""


@keys.command(cls=OneLineCommand, epilog=_ROTATE)
@click.option("--tenant", type=TENANT, required=True, help="The brand.")
@click.option("--profile", type=PROFILE, default=Profile.AES.value, show_default=True, help="The block cipher.")
@reported
def rotate(*, tenant: str, profile: str) -> None:
    """Begin the next epoch with a fresh secret; codes of earlier epochs stay valid. Needs TRACE_OWNER_URL."""
    with _as_owner("codes keys rotate") as (connection, wrapper):
        epoch = rotate_epoch(connection, wrapper, tenant, Profile(profile))
    click.echo(f"{tenant} issues under epoch {epoch} of {EPOCHS - 1} from now on")


@keys.command("list", cls=OneLineCommand, epilog=_LIST)
@click.option("--tenant", type=TENANT, required=True, help="The brand.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on standard output.")
@reported
def list_(*, tenant: str, as_json: bool) -> None:
    """Show the epochs of a brand, never a secret."""
    with opened("codes keys list") as (connection, _):
        found = list_epochs(connection, tenant)
    if as_json:
        sys.stdout.buffer.write(msgspec.json.Encoder().encode_lines(found))
        sys.stdout.buffer.flush()
        return
    for each in found:
        click.echo(_line(each))


@keys.command(cls=OneLineCommand, epilog=_KILL)
@click.option("--tenant", type=TENANT, required=True, help="The brand.")
@click.option("--epoch", type=click.IntRange(0, EPOCHS - 1), required=True, help="The epoch whose secret is out.")
@click.option("--reason", required=True, help="Why; it is kept with the key.")
@click.option("--yes", is_flag=True, help="Do not ask: there is no way back.")
@reported
def kill(*, tenant: str, epoch: int, reason: str, yes: bool) -> None:
    """Refuse every code of an epoch that custody has not seen yet, for good. Needs TRACE_OWNER_URL."""
    if not reason.strip():
        raise RefusedError("--reason says why the epoch is killed.")
    if not yes:
        click.confirm(f"Refuse all unseen codes of {tenant}, epoch {epoch}, for good?", abort=True, err=True)
    with _as_owner("codes keys kill") as (connection, _):
        kill_epoch(connection, tenant, epoch, reason.strip())
    click.echo(
        f"epoch {epoch} of {tenant} is killed; begin a new one with: codefence codes keys rotate --tenant {tenant}"
    )


@contextmanager
def _as_owner(name: str) -> Iterator[tuple[Connection, KeyWrapper]]:
    """Connect as the schema's owner: what runs all day must not be able to retire or kill keys."""
    settings = load_settings()
    if settings.owner_url is None:
        raise ConfigurationError("keys belong to the schema's owner", advice="Set TRACE_OWNER_URL for this command.")
    with connect(settings.owner_url.get_secret_value(), name) as connection:
        yield connection, KeyWrapper(settings.key_encryption_key)


def _line(key: KeyInfo) -> str:
    end = f", killed {key.killed_at:%Y-%m-%d %H:%M} UTC: {key.killed_because}" if key.killed_at else ""
    begun = f"since {key.created_at:%Y-%m-%d}"
    return f"epoch {key.epoch:>2}  {key.state:<7} {key.profile}  {key.issued:>15,} codes in batches, {begun}{end}"
