"""The epochs of a brand's codes: begun, superseded, killed. Runs as the schema's owner, who alone may change keys."""

from datetime import datetime

import msgspec
from psycopg import errors

from contracts.errors import ConfigurationError
from contracts.tc20 import EPOCHS, Profile
from trace_service.codes.queries import SQL
from trace_service.keys import KeyWrapper
from trace_service.store.brands import is_brand
from trace_service.store.connection import Connection, one


class EpochError(ConfigurationError):
    """An epoch cannot be begun or killed as asked."""

    code = "KEY_REFUSED"


class KeyInfo(msgspec.Struct, frozen=True):
    """What is known of one epoch's key, all but the secret; `issued` counts the codes of its batches."""

    brand: str
    epoch: int
    profile: str
    state: str
    created_at: datetime
    killed_at: datetime | None
    killed_because: str
    issued: int


def rotate_epoch(connection: Connection, keys: KeyWrapper, brand: str, profile: Profile) -> int:
    """Begin a brand's next epoch, in one transaction, and return it; the one before verifies only from now on."""
    with connection.transaction():
        if not is_brand(connection, brand):
            raise EpochError(f"there is no brand {brand}", advice="Register the brand before its keys.")
        connection.execute(SQL["lock_keys"], {"brand": brand})
        connection.execute(SQL["retire_keys"], {"brand": brand})
        row = {"brand": brand, "wrapped": keys.fresh(), "profile": profile.value}
        try:
            return int(one(connection, SQL["insert_key"], row)[0])
        except errors.CheckViolation as error:
            raise EpochError(
                f"{brand} has used all {EPOCHS - 1} epochs", advice="The serials' format has no room for another."
            ) from error


def list_epochs(connection: Connection, brand: str) -> list[KeyInfo]:
    """Return a brand's epochs, oldest first."""
    return [KeyInfo(**row._asdict()) for row in connection.execute(SQL["list_keys"], {"brand": brand})]


def kill_epoch(connection: Connection, brand: str, epoch: int, reason: str) -> None:
    """Refuse an epoch's unseen codes from now on; raises where there is no such epoch or it was killed before."""
    if connection.execute(SQL["kill_key"], {"brand": brand, "epoch": epoch, "reason": reason}).fetchone() is None:
        raise EpochError(
            f"{brand} has no living key of epoch {epoch}",
            advice=f"See: codefence codes keys list --tenant {brand}",
        )
