"""The command line of the trace service: `codefence trace`."""

import signal
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click
import msgspec
import structlog

from contracts.errors import ConfigurationError
from contracts.wording import counted
from geofence.grid.counties import open_index
from geofence.maps import Level
from geofence.maps.catalogue import open_map
from trace_service.accounts import add_account
from trace_service.bootstrap import configure_logs, load_settings
from trace_service.cli.history import history
from trace_service.cli.mail import mail
from trace_service.cli.policy import policy
from trace_service.cli.subscriptions import webhook
from trace_service.cli.tokens import token
from trace_service.cli.webhooks import webhooks
from trace_service.cli_parts import reported
from trace_service.demo import run_demo, seed_bases
from trace_service.domain.roles import Role
from trace_service.health import WorkerHealth
from trace_service.keys import KeyWrapper
from trace_service.public.cli import links
from trace_service.replenishment.night.demo_sales import seed_sales
from trace_service.schema.migrate import Roles
from trace_service.schema.migrate import migrate as apply_migrations
from trace_service.store.connection import connect
from trace_service.worker import Worker

log = structlog.get_logger(__name__)

_EXAMPLES: Final = {
    "migrate": "codefence trace migrate",
    "demo": "codefence trace demo --out market.json --password-file demo-password",
    "worker": "codefence trace worker",
    "web": "TRACE_HTTP_PORT=9000 codefence trace web",
    "account add": "codefence trace account add li.wei --brand qingyuan --role analyst < password",
}
_DEMO_PROFILE = {"brand": "qingyuan", "name": "演示 Demo", "role": "manager", "language": "zh"}


def _example(command: str) -> str:
    return f"\b\nExample:\n  {_EXAMPLES[command]}"


@click.group()
def trace() -> None:
    """Keep custody, judge scans and watch stock; settings come from the environment (TRACE_…)."""


@trace.command(epilog=_example("migrate"))
@reported
def migrate() -> None:
    """Bring the database to the present schema and give both roles their passwords; run it again at will."""
    settings = load_settings()
    if not (settings.owner_url and settings.ingest_password and settings.trace_password):
        raise ConfigurationError(
            "the schema's owner or a role's password is missing",
            advice="Set TRACE_OWNER_URL, TRACE_INGEST_PASSWORD and TRACE_TRACE_PASSWORD.",
        )
    roles = Roles(settings.ingest_password.get_secret_value(), settings.trace_password.get_secret_value())
    applied = apply_migrations(settings.owner_url.get_secret_value(), roles)
    click.echo("\n".join(applied) if applied else "up to date", err=True)


@trace.command(epilog=_example("demo"))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The print job, JSON.")
@click.option(
    "--password-file", type=click.Path(exists=True, path_type=Path), help="Holds the password of the account 'demo'."
)
@reported
def demo(out: Path, password_file: Path | None) -> None:
    """Register the demo brand if it is missing, issue a print run of codes, and write it for the simulator."""
    settings = load_settings()
    with connect(settings.database_url.get_secret_value(), "trace demo") as connection:
        job = run_demo(connection, KeyWrapper(settings.key_encryption_key), settings.label_host)
        seed_sales(connection, _DEMO_PROFILE["brand"], datetime.now(UTC))
        seed_bases(connection)
        if password_file is not None:
            add_account(connection, "demo", password_file.read_text("utf-8").strip(), _DEMO_PROFILE)
    _write_atomically(out, msgspec.json.format(msgspec.json.encode(job), indent=1))
    click.echo(
        f"{job['run']}: {counted(len(job['cases']), 'case')} for {counted(len(job['orders']), 'order')} in {out}",
        err=True,
    )


@trace.command(epilog=_example("worker"))
@reported
def worker() -> None:
    """Decide about scans and stock as they arrive; start several to share the load. SIGTERM ends it cleanly."""
    settings = load_settings()
    configure_logs()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    # Work that the first scan should not wait for.
    atoms = open_map(settings.map)
    if settings.index_folder is None:
        atoms.layer(Level.COUNTY)
    else:
        open_index(atoms, settings.index_folder, lambda step: log.info(step, action="worker.index"))
    health = WorkerHealth()
    if settings.worker_port is not None:
        health.serve(settings.worker_port)
    keys = KeyWrapper(settings.key_encryption_key)
    Worker(settings.database_url.get_secret_value(), keys, atoms, stop, health).run()


@trace.command(epilog=_example("web"))
@reported
def web() -> None:
    """Serve the console."""
    settings = load_settings()
    configure_logs()
    import uvicorn  # noqa: PLC0415  the other commands start without a web server

    from trace_service.app import create_app  # noqa: PLC0415  likewise

    # Open pages hold a stream each: without a limit, one browser would keep the service from stopping.
    uvicorn.run(
        create_app(settings),
        host=settings.http_host,
        port=settings.http_port,
        log_config=None,
        server_header=False,
        forwarded_allow_ips=[str(each) for each in settings.trusted_proxies],
        timeout_graceful_shutdown=2,
    )


trace.add_command(history)
trace.add_command(links)
trace.add_command(policy)
trace.add_command(token)
trace.add_command(webhook)
trace.add_command(webhooks)


@trace.group()
def account() -> None:
    """Manage who may log in to the console."""


@account.command(epilog=_example("account add"))
@click.argument("login")
@click.option("--brand", required=True, help="The brand whose data the account sees.")
@click.option("--name", default="", help="Shown in the console; the login by default.")
@click.option("--role", type=click.Choice([role.value for role in Role]), default=Role.ANALYST.value, show_default=True)
@click.option("--language", type=click.Choice(["zh", "en"]), default="zh", show_default=True)
@reported
def add(login: str, *, brand: str, name: str, role: str, language: str) -> None:
    """Add an account, or give it a new password, read from standard input or asked for."""
    settings = load_settings()
    password = _password()
    profile = {"brand": brand, "name": name or login, "role": role, "language": language}
    with connect(settings.database_url.get_secret_value(), "trace account") as connection:
        add_account(connection, login, password, profile)
    click.echo(f"{login} may log in", err=True)


account.add_command(mail)


def _password() -> str:
    if sys.stdin.isatty():
        answer: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        return answer
    return sys.stdin.readline().rstrip("\r\n")


def _write_atomically(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_bytes(content)
    fresh.replace(path)
