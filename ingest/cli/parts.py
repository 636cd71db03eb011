"""What every command of ingest starts with: settings, a database, a broker's account, and logs."""

import logging
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO, cast

import click
import psycopg
import structlog
from pydantic import ValidationError

from contracts.errors import CodefenceError
from contracts.stderr import PatientStderr
from ingest.landing.writer import connect
from ingest.mqtt import LeanConsumer
from ingest.mqtt.consumer import Account, Consumer
from ingest.mqtt.paho_consumer import PahoConsumer
from ingest.mqtt.sessions import PartitionedConsumer
from ingest.settings import IngestSettings


def now_ms() -> int:
    """Return milliseconds since the epoch, now."""
    return time.time_ns() // 1_000_000


def settings_from_environment() -> IngestSettings:
    """Return the settings, or end with a usage error that names each variable."""
    try:
        return IngestSettings()
    except ValidationError as error:
        problems = "; ".join(
            f"INGEST_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" if e["loc"] else e["msg"]
            for e in error.errors()
        )
        raise click.UsageError(f"{problems}. Settings come from the environment; see docs/ingest.md.") from error


def account_of(settings: IngestSettings) -> Account:
    """Return where the broker is and who connects."""
    return Account(
        settings.broker_host,
        settings.broker_port,
        settings.broker_user,
        settings.broker_password.get_secret_value() if settings.broker_password else "",
        settings.client_id,
        settings.partitions,
        _tls(settings),
    )


def orders_account_of(settings: IngestSettings) -> Account:
    """Return who gives orders to devices from the command line: a user of its own where there is one.

    A broker that takes the user's name for the client id would end a worker's session for one of the same name.
    """
    account = account_of(settings)
    if settings.orders_password is None:
        return account
    return account._replace(user=settings.orders_user, password=settings.orders_password.get_secret_value())


def consumer_of(settings: IngestSettings) -> Consumer:
    """Return the consumer that the settings name."""
    account = account_of(settings)
    if settings.session_per_partition:
        return PartitionedConsumer(account)
    return LeanConsumer(account) if settings.consumer == "lean" else PahoConsumer(account)


def _tls(settings: IngestSettings) -> ssl.SSLContext | None:
    if settings.tls_ca is None:
        return None
    try:
        context = ssl.create_default_context(cafile=settings.tls_ca)
        if settings.tls_cert:
            context.load_cert_chain(settings.tls_cert, settings.tls_key)
    except OSError as error:
        raise click.UsageError(f"INGEST_TLS_CA, _CERT or _KEY: {error}. They name PEM files.") from error
    return context


@contextmanager
def translated() -> Iterator[None]:
    """Turn what goes wrong inside into a line for the operator and exit code 1."""
    try:
        yield
    except CodefenceError as error:
        raise click.ClickException(f"[{error.code}] {error.message}. {error.advice}".rstrip(". ") + ".") from error
    except psycopg.Error as error:
        raise click.ClickException(f"[DATABASE] {str(error).strip()}") from error


@contextmanager
def database(name: str) -> Iterator[psycopg.Connection]:
    """Open the database for one command, shown to administrators as `name`, and translate what goes wrong."""
    url = settings_from_environment().database_url.get_secret_value()
    with translated(), connect(url, name) as connection:
        yield connection


def log_json() -> None:
    """Log a JSON object a line to standard error."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", PatientStderr())),
    )


def visible(text: str) -> str:
    """Return the text with control characters spelt out: a payload must not be able to steer the terminal."""
    return "".join(char if char.isprintable() or char == "\n" else f"<{ord(char):02X}>" for char in text)
