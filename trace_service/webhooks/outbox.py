"""What is to be told to whom: subscriptions of a brand, and the queue that the deliverer works off."""

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid4

import msgspec
import psycopg

from contracts.errors import ConfigurationError
from trace_service.keys import KeyWrapper
from trace_service.store.connection import Connection, one
from trace_service.webhooks.addresses import Networks, require_deliverable
from trace_service.webhooks.queries import SQL
from trace_service.webhooks.topics import FAMILIES, WORDED, require_told

_TOPIC: Final = re.compile(r"[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)+")
_PREFIX: Final = "whsec_"


class Target(NamedTuple):
    """Where messages go, in which form (`robots.FORMATS`), and the secret that a robot's own page shows."""

    brand: str
    url: str
    format: str = "codefence"
    robot_secret: str | None = None


class Subscription(NamedTuple):
    """A new subscription; `secret` is shown this once."""

    id: int
    secret: str


def enqueue(connection: Connection, brand: str, topic: str, payload: Mapping[str, Any]) -> UUID:
    """Queue a message for every subscription of the brand to this topic, in the caller's transaction.

    Nothing is sent before the transaction commits, and nothing at all if it does not. `payload` is what
    `msgspec.json` can encode. Return the message's id, which receivers tell repetitions by.
    Raises ValueError for a malformed topic.
    """
    if not _TOPIC.fullmatch(topic):
        raise ValueError(f"{topic!r} is no topic")
    message = uuid4()
    parts = topic.split(".")
    families = [".".join(parts[:count]) + ".*" for count in range(1, len(parts))]
    row = {
        "brand": brand,
        "topic": topic,
        "message": message,
        "patterns": ["*", topic, *families],
        "payload": msgspec.json.encode(payload).decode(),
    }
    connection.execute(SQL["enqueue"], row)
    return message


def secret_text(raw: bytes) -> str:
    """Return a secret as partners see it; its UTF-8 bytes are the key of the signature."""
    return _PREFIX + base64.urlsafe_b64encode(raw).decode().rstrip("=")


def subscribe(
    connection: Connection,
    keys: KeyWrapper,
    networks: Networks,
    target: tuple[str, str] | Target,
    topics: Iterable[str],
) -> Subscription:
    """Subscribe `target`, a brand and a URL or a robot, to topics (`order.accepted`, `order.*` or `*`).

    Raises `ConfigurationError` for an unknown brand, a topic that nothing is told under (to a robot, nothing in words),
    and a URL that may not be delivered to.
    """
    wanted_by = Target(*target)
    brand, url = wanted_by.brand, wanted_by.url
    require_deliverable(url, networks)
    wanted = sorted(set(topics))
    robot = wanted_by.format != "codefence"
    require_told(wanted, WORDED if robot else FAMILIES)
    if robot and "*" in wanted:
        wanted = [f"{family}.*" for family in sorted(WORDED)]
    wrapped = keys.fresh()
    row = {
        "brand": brand,
        "url": url,
        "topics": wanted,
        "secret": wrapped,
        "format": wanted_by.format,
        "robot_secret": keys.wrap_text(wanted_by.robot_secret) if wanted_by.robot_secret else None,
    }
    try:
        made = one(connection, SQL["subscribe"], row)
    except psycopg.errors.ForeignKeyViolation as error:
        raise ConfigurationError(f"no brand is called {brand!r}", advice="Check --brand.") from error
    return Subscription(made.id, secret_text(keys.unwrap(wrapped)))


def rotate(connection: Connection, keys: KeyWrapper, number: int, keep: timedelta) -> Subscription:
    """Give a subscription a new secret; the old one signs beside it for so long.

    Raises `ConfigurationError` if there is none, or it is a robot's, whose own page has its secret.
    """
    wrapped = keys.fresh()
    if connection.execute(SQL["rotate"], {"id": number, "secret": wrapped, "keep": keep}).fetchone() is None:
        raise ConfigurationError(
            f"there is no webhook {number} with a secret of ours", advice="See `codefence trace webhook list`."
        )
    return Subscription(number, secret_text(keys.unwrap(wrapped)))


def unsubscribe(connection: Connection, number: int) -> None:
    """End a subscription; what waits for it becomes dead letters. Raises `ConfigurationError` if there is none."""
    with connection.transaction():
        if connection.execute(SQL["remove"], {"id": number}).fetchone() is None:
            raise ConfigurationError(f"there is no webhook {number}", advice="See `codefence trace webhook list`.")
        connection.execute(SQL["abandon"], {"id": number})


def replay(connection: Connection, number: int, message: UUID | None) -> int:
    """Queue a subscription's dead letters again, or one message whatever became of it; return how many."""
    return len(connection.execute(SQL["replay"], {"id": number, "message": message}).fetchall())


def subscriptions(connection: Connection, brand: str | None) -> Sequence[Any]:
    """Return the live subscriptions of a brand, or of all, with how many messages wait, went out or are dead."""
    return connection.execute(SQL["webhooks"], {"brand": brand}).fetchall()


def dead_letters(connection: Connection, brand: str | None) -> Sequence[Any]:
    """Return up to 1,000 messages that were given up, oldest first, with the last answer or error."""
    return connection.execute(SQL["dead"], {"brand": brand}).fetchall()
