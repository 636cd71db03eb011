"""Delivers queued messages: in order within a subscription, at least once, with patience that grows."""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import httpcore
import msgspec
import psycopg
import structlog
from psycopg.rows import namedtuple_row

from contracts.errors import CodefenceError
from contracts.webhooks import MESSAGE_HEADER, SIGNATURE_HEADER, TOPIC_HEADER, sign
from trace_service.cases.telling import tell_waiting
from trace_service.keys import KeyWrapper
from trace_service.notify.robots import refusal, robot_message
from trace_service.store.connection import connect
from trace_service.webhooks.addresses import Networks, guarded_pools
from trace_service.webhooks.outbox import secret_text
from trace_service.webhooks.patience import Patience
from trace_service.webhooks.queries import SQL

_LOCK_SPACE: Final = 0x5745424B
_CONCURRENT: Final = 32
_MOST_OF_A_BRAND: Final = 8
_FAULT_SECONDS: Final = 30.0
_ANSWER_SECONDS: Final = 8.0
_LOOK_SECONDS: Final = 0.5
_PRUNE_SECONDS: Final = 3600.0
_LONGEST_ERROR: Final = 200
_LONGEST_ANSWER: Final = 65_536
_GONE: Final = 410
_OK: Final = range(200, 300)

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _Answer:
    status: int | None
    error: str

    @property
    def ok(self) -> bool:
        return self.status in _OK


class Deliverer:
    """Works off the queue of one database; several may run, each subscription belongs to one at a time."""

    def __init__(
        self,
        dsn: str,
        keys: KeyWrapper,
        networks: Networks,
        patience: Patience | None = None,
        *,
        console: str | None = None,
    ) -> None:
        self._console = console
        self._dsn = dsn
        self._keys = keys
        self._patience = patience or Patience()
        self._pools = guarded_pools(networks, _CONCURRENT)
        self._busy: dict[int, str] = {}  # subscription to brand
        self._pruned = 0.0
        self._wording: asyncio.Task[None] | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until `stop` is set, then finish what is under way. Raises psycopg.OperationalError."""
        async with await self._connect() as connection:
            try:
                async with asyncio.TaskGroup() as tasks:
                    while not stop.is_set():
                        await self._begin(connection, tasks, stop)
                        with suppress(TimeoutError):
                            await asyncio.wait_for(stop.wait(), _LOOK_SECONDS)
            except* psycopg.OperationalError as lost:
                raise lost.exceptions[0] from lost
            finally:
                self._busy.clear()
                self._wording = None
                for pool in self._pools.values():
                    await pool.aclose()

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        return await psycopg.AsyncConnection.connect(
            self._dsn, autocommit=True, application_name="codefence webhooks", connect_timeout=5,
            row_factory=namedtuple_row, options="-c timezone=UTC -c statement_timeout=30s",
        )  # fmt: skip

    async def _begin(
        self, connection: psycopg.AsyncConnection[Any], tasks: asyncio.TaskGroup, stop: asyncio.Event
    ) -> None:
        if time.monotonic() - self._pruned > _PRUNE_SECONDS:
            self._pruned = time.monotonic()
            await connection.execute(SQL["prune"])
        if self._wording is None or self._wording.done():
            waiting = await (await connection.execute(SQL["unworded"])).fetchone()
            if waiting is not None and waiting.found:
                self._wording = tasks.create_task(asyncio.to_thread(self._word, stop), name="wording")
        due = await (await connection.execute(SQL["due"])).fetchall()
        for webhook, brand in due:
            # One brand's many slow subscribers leave room for the others'.
            full = len(self._busy) >= _CONCURRENT or list(self._busy.values()).count(brand) >= _MOST_OF_A_BRAND
            if webhook not in self._busy and not full:
                self._busy[webhook] = brand
                tasks.create_task(self._drain(connection, webhook), name=f"webhook {webhook}")

    def _word(self, stop: asyncio.Event) -> None:
        """Word what says why, in a thread beside what goes out, until `stop` is set."""
        with connect(self._dsn, "codefence webhooks") as connection:
            tell_waiting(connection, stop.is_set)

    async def _drain(self, connection: psycopg.AsyncConnection[Any], webhook: int) -> None:
        """Deliver one subscription's messages until one has to wait."""
        own = {"space": _LOCK_SPACE, "webhook": webhook}
        rest = 0.0
        try:
            had = await (await connection.execute(SQL["own"], own)).fetchone()
            if had is None or not had.had:
                return
            while (head := await self._head(connection, webhook)) is not None:
                await self._record(connection, head, await self._attempt(head))
            await connection.execute(SQL["disown"], own)
        except psycopg.OperationalError:
            raise
        # One subscription's rows that cannot be read or written end nobody else's deliveries.
        except psycopg.Error:
            log.exception("a subscription cannot be served", action="webhook.unserved", webhook=webhook)
            await connection.execute(SQL["disown"], own)
            rest = _FAULT_SECONDS
        finally:
            asyncio.get_running_loop().call_later(rest, self._busy.pop, webhook, None)

    async def _head(self, connection: psycopg.AsyncConnection[Any], webhook: int) -> Any:  # noqa: ANN401  a row
        return await (await connection.execute(SQL["head"], {"webhook": webhook})).fetchone()

    async def _attempt(self, head: Any) -> _Answer:  # noqa: ANN401  a row
        """Send one message; whatever goes wrong with it is its own failure."""
        try:
            return await self._send(head)
        except CodefenceError as error:
            return _Answer(None, f"{error.code}: {error.message}"[:_LONGEST_ERROR])
        # The process boundary: let out, it would end the deliveries of every brand.
        except Exception as error:
            log.exception("a webhook cannot be sent", action="webhook.broken", message=head.message, topic=head.topic)
            return _Answer(None, f"an error of this service: {type(error).__name__}")

    async def _send(self, head: Any) -> _Answer:  # noqa: ANN401  a row
        url, body, headers = self._message(head)
        pool = self._pools[head.url.partition(":")[0].lower()]
        try:
            async with (
                asyncio.timeout(_ANSWER_SECONDS),
                pool.stream("POST", url, headers=headers, content=body) as answer,
            ):
                if answer.status in _OK and head.format != "codefence":
                    return _Answer(*(await _robot_answer(answer)))
                return _Answer(answer.status, "" if answer.status in _OK else f"answered {answer.status}")
        except TimeoutError:
            return _Answer(None, f"no answer within {_ANSWER_SECONDS:g} s")
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
            return _Answer(None, f"{type(error).__name__}: {error}"[:_LONGEST_ERROR])

    def _message(self, head: Any) -> tuple[str, bytes, dict[bytes | str, bytes | str]]:  # noqa: ANN401  a row
        """Return where a message goes, its body, and its headers."""
        common: dict[bytes | str, bytes | str] = {
            "Content-Type": "application/json",
            "User-Agent": "Codefence-Webhooks/1",
        }
        if head.format != "codefence":
            secret = self._keys.unwrap_text(head.robot_secret) if head.robot_secret else None
            robot = robot_message(head, secret, self._console, time.time())
            return robot.url, robot.body, common
        body = message_body(head)
        secrets = [secret_text(self._keys.unwrap(each)) for each in (head.secret, head.old_secret) if each]
        signature = sign(secrets[0], body, int(time.time()), *secrets[1:])
        own: dict[bytes | str, bytes | str] = {
            SIGNATURE_HEADER: signature, TOPIC_HEADER: head.topic, MESSAGE_HEADER: head.message,
        }  # fmt: skip
        return head.url, body, {**common, **own}

    async def _record(self, connection: psycopg.AsyncConnection[Any], head: Any, answer: _Answer) -> None:  # noqa: ANN401
        if answer.ok:
            await connection.execute(SQL["delivered"], {"id": head.id, "status": answer.status})
            return
        failures = head.attempts + 1
        dead = failures >= self._patience.attempts or answer.status == _GONE
        row = {
            "id": head.id,
            "state": "dead" if dead else "waiting",
            "status": answer.status,
            "error": answer.error,
            "wait": self._patience.wait(failures),
        }
        await connection.execute(SQL["failed"], row)
        log.warning(
            "a webhook was not taken", action="webhook.dead" if dead else "webhook.failed", message=head.message,
            topic=head.topic, attempts=failures, error=answer.error,
        )  # fmt: skip


async def _robot_answer(answer: httpcore.Response) -> tuple[int | None, str]:
    """Return the status, or None with the reason where a robot answered 200 to what it refused."""
    said = b""
    async for part in answer.aiter_stream():
        said += part
        if len(said) > _LONGEST_ANSWER:
            return None, "the robot's answer is too long"
    refused = refusal(said)
    return (None, refused) if refused else (answer.status, "")


def message_body(row: Any) -> bytes:  # noqa: ANN401  a row
    """Return the JSON object that is sent: id, topic, brand, time of the event, and its data."""
    return msgspec.json.encode(
        {
            "id": row.message,
            "topic": row.topic,
            "brand": row.brand,
            "created_at": row.created_at,
            "data": msgspec.Raw(row.payload.encode()),
        }
    )
