"""Sends queued mail and begins each brand's day: one task of the process that delivers webhooks."""

import asyncio
import smtplib
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

import psycopg
import structlog

from contracts.errors import CodefenceError
from trace_service.cases.days import run_due
from trace_service.cases.recalibration import recalibrate_due
from trace_service.cases.telling import tell_waiting
from trace_service.notify.mail import connected, message
from trace_service.notify.queries import SQL
from trace_service.notify.texts import text_of
from trace_service.settings import TraceSettings
from trace_service.store.connection import Connection, connect
from trace_service.words import DEFAULT_ZONE, Language, Words, zone

_LOOK_SECONDS: Final = 2.0
_DAY_SECONDS: Final = 30.0
_ATTEMPTS: Final = 10
_FIRST_WAIT: Final = timedelta(seconds=30)
_LONGEST_WAIT: Final = timedelta(hours=6)

log = structlog.get_logger(__name__)


class Courier:
    """Works off the queue of mail of one database; several may run, each mail belongs to one at a time."""

    def __init__(self, dsn: str, settings: TraceSettings) -> None:
        self._dsn = dsn
        self._settings = settings

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; a database that is away is waited for."""
        looked = -_DAY_SECONDS
        while not stop.is_set():
            now = asyncio.get_running_loop().time()
            try:
                if now - looked >= _DAY_SECONDS:
                    looked = now
                    await asyncio.to_thread(self._begin_days)
                if self._settings.smtp_host is not None:
                    while await asyncio.to_thread(self.send_due):
                        pass
            except psycopg.OperationalError as error:
                log.warning("mail waits for the database", action="mail.database", error=str(error))
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _LOOK_SECONDS)

    def _begin_days(self) -> None:
        with connect(self._dsn, "days") as connection:
            begun = run_due(connection)
            recalibrate_due(connection)
        if begun:
            log.info("cases of the day are chosen", action="cases.day", brands=begun)

    def send_due(self) -> int:
        """Send what is due over one connection; return how many were tried. Failures wait, ever longer."""
        with connect(self._dsn, "mail") as connection:
            tell_waiting(connection)
            with connection.transaction():
                return self._send_waiting(connection)

    def _send_waiting(self, connection: Connection) -> int:
        due = connection.execute(SQL["due_mail"]).fetchall()
        if not due:
            return 0
        left = list(due)
        try:
            with connected(self._settings) as server:
                while left:
                    self._send(connection, server, left[0])
                    left.pop(0)
        except (smtplib.SMTPException, OSError, CodefenceError) as error:
            # What went out before the server was lost stays sent.
            for row in left:
                self._failed(connection, row, error)
            return 0
        return len(due)

    def _send(self, connection: Connection, server: smtplib.SMTP, row: Any) -> None:  # noqa: ANN401  a row
        language: Language = "en" if row.language == "en" else "zh"
        words = Words(language, zone(DEFAULT_ZONE))
        text = text_of(words, row.topic, row.payload)
        base = self._settings.console_url
        foot = words("notice.mail.foot", url=f"{base}{text.path}") if base and text.path else ""
        try:
            server.send_message(message(self._settings, row.email, text, row.created_at, foot))
        except (smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError) as error:
            self._failed(connection, row, error)
        else:
            connection.execute(SQL["mail_sent"], {"id": row.id})

    def _failed(self, connection: Connection, row: Any, error: Exception) -> None:  # noqa: ANN401  a row
        state = "dead" if row.attempts + 1 >= _ATTEMPTS else "waiting"
        wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2**row.attempts)
        said = f"{type(error).__name__}: {error}"[:300]
        connection.execute(SQL["mail_failed"], {"id": row.id, "state": state, "error": said, "wait": wait})
        log.warning("mail was not sent", action=f"mail.{state}", mail=row.id, attempts=row.attempts + 1, error=said)
