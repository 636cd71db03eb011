"""`codefence trace webhooks`: the process that delivers messages, mail and subscriptions, and works at night."""

import asyncio
import signal
from functools import partial
from typing import Final

import click
import psycopg
import structlog

from trace_service.bootstrap import configure_logs, load_settings
from trace_service.channel.coming import refresh_due
from trace_service.cli_parts import reported
from trace_service.epcis.deliverer import SubscriptionDeliverer
from trace_service.inspections.nights import plan_due
from trace_service.keys import KeyWrapper
from trace_service.nightly import Nightly
from trace_service.notify.courier import Courier
from trace_service.notify.deliverer import Deliverer
from trace_service.replenishment.night.nights import run_due
from trace_service.settings import TraceSettings

_LONGEST_PAUSE: Final = 15.0
_EVERY_MINUTE: Final = "* * * * *"
_RUN: Final = "\b\nExample:\n  codefence trace webhooks"

log = structlog.get_logger(__name__)


@click.command(epilog=_RUN)
@reported
def webhooks() -> None:
    """Deliver queued messages to partners; start several to share the load. SIGTERM ends it cleanly."""
    settings = load_settings()
    configure_logs()
    asyncio.run(_deliver(settings))


async def _deliver(settings: TraceSettings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    keys = KeyWrapper(settings.key_encryption_key)
    dsn = settings.database_url.get_secret_value()
    async with asyncio.TaskGroup() as tasks:
        # Subscriptions to EPCIS queries have their own form and order; they wait out a lost database by themselves.
        tasks.create_task(SubscriptionDeliverer(dsn, keys, settings.webhook_networks).run(stop), name="epcis")
        tasks.create_task(Courier(dsn, settings).run(stop), name="mail")
        replenish = partial(run_due, fill=settings.replenish_fill)
        tasks.create_task(Nightly(dsn, "replenish", settings.replenish_at, replenish).run(stop), name="nights")
        tasks.create_task(Nightly(dsn, "inspection", settings.inspect_at, plan_due).run(stop), name="inspections")
        coming = Nightly(dsn, "channel", _EVERY_MINUTE, lambda each, now, _: refresh_due(each, now, settings.map))
        tasks.create_task(coming.run(stop), name="channel")
        await _deliver_messages(dsn, keys, settings, stop)


async def _deliver_messages(dsn: str, keys: KeyWrapper, settings: TraceSettings, stop: asyncio.Event) -> None:
    pause = 1.0
    while not stop.is_set():
        started = asyncio.get_running_loop().time()
        try:
            await Deliverer(dsn, keys, settings.webhook_networks, console=settings.console_url).run(stop)
        except psycopg.OperationalError as error:
            if asyncio.get_running_loop().time() - started > _LONGEST_PAUSE:
                pause = 1.0
            log.error("the database does not answer", action="webhook.database", error=str(error), wait=pause)  # noqa: TRY400  no traceback for what is expected
            await _wait(stop, pause)
            pause = min(_LONGEST_PAUSE, pause * 2)


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
