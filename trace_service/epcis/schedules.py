"""Schedules of subscriptions: five cron fields in UTC, as text or under the standard's names."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from cronsim import CronSim, CronSimError

from trace_service.epcis.refusals import SubscriptionControlsError

_FIELDS: Final = ("minute", "hour", "dayOfMonth", "month", "dayOfWeek")
_LONGEST: Final = 200


def cron_text(schedule: Mapping[str, str] | str) -> str:
    """Return a schedule as cron text; raises `SubscriptionControlsError` for one that is none or never comes."""
    if isinstance(schedule, str):
        text = schedule
    else:
        unknown = schedule.keys() - {*_FIELDS, "second"}
        if unknown or schedule.get("second", "0") != "0":
            raise SubscriptionControlsError(f"schedule: {', '.join(_FIELDS)} are its fields, and second is 0")
        text = " ".join(schedule.get(name, "*").replace("[", "").replace("]", "") or "*" for name in _FIELDS)
    if len(text) > _LONGEST or len(text.split()) != len(_FIELDS):
        raise SubscriptionControlsError("schedule: five cron fields are expected")
    next_time(text, datetime.now(UTC))
    return text


def next_time(text: str, after: datetime) -> datetime:
    """Return when a schedule comes next; raises `SubscriptionControlsError` where it never does."""
    try:
        return next(CronSim(text, after))
    except (CronSimError, StopIteration) as error:
        raise SubscriptionControlsError(f"schedule: {text[:80]!r} is no cron expression, or never comes") from error


def first_due(schedule: str | None) -> datetime:
    """Return when a new subscription is to be looked at first."""
    now = datetime.now(UTC)
    return now if schedule is None else next_time(schedule, now)
