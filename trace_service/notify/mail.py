"""Mail by SMTP: TLS unless the server is this machine, plain text, one recipient a message."""

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from ipaddress import ip_address

from contracts.errors import ConfigurationError
from trace_service.notify.texts import Text
from trace_service.settings import TraceSettings

_SECONDS = 15.0


def message(settings: TraceSettings, to: str, text: Text, at: datetime, foot: str) -> EmailMessage:
    """Return a message; `foot` is its last line, which says where the console shows more."""
    made = EmailMessage()
    made["Subject"] = " ".join(text.title.split())
    made["From"] = settings.smtp_from
    made["To"] = to
    made["Date"] = format_datetime(at)
    made["Message-ID"] = make_msgid(domain=settings.smtp_from.rpartition("@")[2] or None)
    made["Auto-Submitted"] = "auto-generated"
    made.set_content("\n".join([text.title, "", *text.lines, *(["", foot] if foot else [])]) + "\n")
    return made


@contextmanager
def connected(settings: TraceSettings) -> Iterator[smtplib.SMTP]:
    """Yield a connection to the mail server, encrypted and logged in as the settings say.

    Raises `ConfigurationError` for one that would show mail to the network, and smtplib's and OS errors.
    """
    host = settings.smtp_host
    if host is None:
        raise ConfigurationError("there is no mail server", advice="Set TRACE_SMTP_HOST.")
    if settings.smtp_security == "none" and not _is_here(host):
        raise ConfigurationError("mail without TLS is for this machine alone", advice="Set TRACE_SMTP_SECURITY.")
    context = ssl.create_default_context()
    if settings.smtp_security == "tls":
        server: smtplib.SMTP = smtplib.SMTP_SSL(host, settings.smtp_port, timeout=_SECONDS, context=context)
    else:
        server = smtplib.SMTP(host, settings.smtp_port, timeout=_SECONDS)
    with server:
        if settings.smtp_security == "starttls":
            server.starttls(context=context)
        if settings.smtp_user is not None and settings.smtp_password is not None:
            server.login(settings.smtp_user, settings.smtp_password.get_secret_value())
        yield server


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
