"""Builds what the processes share: settings and logs. Nothing here runs at import."""

from typing import TextIO, cast

import structlog
from pydantic import ValidationError

from contracts.errors import ConfigurationError
from contracts.stderr import PatientStderr
from trace_service.settings import TraceSettings


def load_settings() -> TraceSettings:
    """Return the settings of the environment; raises `ConfigurationError` naming every variable that is wrong."""
    try:
        return TraceSettings()
    except ValidationError as error:
        wrong = [f"TRACE_{str(each['loc'][0]).upper()}: {each['msg']}" for each in error.errors() if each["loc"]]
        advice = 'Set these environment variables; beside a running `codefence up`: eval "$(codefence config env)"'
        raise ConfigurationError("; ".join(wrong), advice=advice) from error


def configure_logs() -> None:
    """Log one JSON object a line on standard error."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", PatientStderr())),
    )
