"""The day's work: which cases a day is given to, chosen once on the brand's own schedule."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from contracts.errors import ConfigurationError
from trace_service.cases.history import publish
from trace_service.cases.model import Policy
from trace_service.cases.priority import Candidate, Chosen, choose_day
from trace_service.cases.queries import SQL
from trace_service.cases.sync import policy_of
from trace_service.store.connection import Connection, one
from trace_service.store.locks import lock


def check_schedule(policy: Policy) -> None:
    """Raise `ConfigurationError` for a time zone that does not exist, or a schedule that is none or never comes."""
    try:
        next(CronSim(policy.digest_at, datetime.now(ZoneInfo(policy.zone))))
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ConfigurationError(f"{policy.zone!r} is no time zone", advice="Such as Asia/Shanghai.") from error
    except (CronSimError, StopIteration) as error:
        raise ConfigurationError(f"{policy.digest_at!r} never comes", advice="Five cron fields: 0 8 * * *") from error


def due_day(policy: Policy, last: datetime | None, now: datetime) -> date | None:
    """Return the day whose digest is due: the schedule has come since `last`, or today's time has come."""
    zone = ZoneInfo(policy.zone)
    here = now.astimezone(zone)
    since = last.astimezone(zone) if last else here.replace(hour=0, minute=0, second=0, microsecond=0)
    return here.date() if next(CronSim(policy.digest_at, since)) <= here else None


def run_due(connection: Connection, now: datetime | None = None) -> int:
    """Choose the day's cases of every brand for which it is time, and tell; return how many brands it was time for."""
    moment = now or datetime.now(UTC)
    done = 0
    for row in connection.execute(SQL["brands_of_cases"]).fetchall():
        policy = policy_of(connection, row.brand)
        day = due_day(policy, row.last, moment)
        if day is not None and run_day(connection, row.brand, policy, day, moment):
            done += 1
    return done


def run_day(connection: Connection, brand: str, policy: Policy, day: date, now: datetime) -> Sequence[Chosen]:
    """Choose a day's cases and queue the digest; nothing where that day was chosen before."""
    with connection.transaction():
        lock(connection, {f"cases {brand}"})
        fresh = connection.execute(SQL["begin_day"], {"brand": brand, "day": day, "due_at": now}).fetchone()
        if fresh is None:
            return []
        waiting = connection.execute(SQL["waiting_cases"], {"brand": brand}).fetchall()
        candidates = [Candidate(row.id, row.priority) for row in waiting]
        near = [row.id for row in connection.execute(SQL["near_leads"], {"brand": brand})]
        chosen = choose_day(candidates, policy.daily_budget, policy.audit_share, day, near)
        for each in chosen:
            row = {"brand": brand, "day": day, "probability": each.probability}
            if each.lead is not None:
                connection.execute(SQL["insert_lead_selection"], {**row, "lead": each.lead})
            else:
                more = {"case": each.case, "place": each.place, "reason": each.reason}
                connection.execute(SQL["insert_selection"], {**row, **more})
        publish(connection, brand, "digest.daily", _digest(connection, brand, day, chosen, now))
        return chosen


def _digest(connection: Connection, brand: str, day: date, chosen: Sequence[Chosen], now: datetime) -> dict[str, Any]:
    counted = one(connection, SQL["digest"], {"brand": brand, "now": now})
    numbers = [each.case for each in chosen if each.case is not None]
    listed = connection.execute(SQL["digest_cases"], {"cases": numbers}).fetchall()
    by_id = {row.id: row._asdict() for row in listed}
    cases = [
        {**by_id[each.case], "place": each.place, "reason": each.reason} for each in chosen if each.case is not None
    ]
    drawn = [each.lead for each in chosen if each.lead is not None]
    leads = [row._asdict() for row in connection.execute(SQL["digest_leads"], {"leads": drawn})]
    return {"day": day, "counts": counted._asdict(), "cases": cases, "leads": leads}
