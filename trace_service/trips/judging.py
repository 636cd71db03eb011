"""The worker's part: claims a trip with news, or one that time has gone on for, and writes what is now known of it."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
import psycopg
import structlog

from geofence.trips import (
    DEFAULT_RULES,
    Change,
    Episode,
    Fix,
    Ground,
    Handling,
    HandlingKind,
    Judge,
    Report,
    State,
)
from trace_service.store.connection import Connection
from trace_service.trips.model import Plan, milliseconds
from trace_service.trips.queries import SQL
from trace_service.webhooks import enqueue

LOOK_AGAIN: Final = timedelta(seconds=60)
_SETTLED: Final = timedelta(minutes=30)
_REMEMBERED: Final = 64
_log = structlog.get_logger(__name__)


class TripBench:
    """Judges trips one at a time; remembers the plans that it has made ready."""

    def __init__(self) -> None:
        self._grounds: dict[tuple[str, str, int], Ground] = {}

    def work(self, connection: Connection) -> int:
        """Judge the trip that is due first, if any; return how many were, 0 or 1. Runs in transactions of its own."""
        with connection.transaction():
            claimed = connection.execute(SQL["claim_trip"]).fetchone()
            if claimed is None:
                return 0
            try:
                with connection.transaction():
                    self._judge(connection, claimed)
            except psycopg.OperationalError:
                raise
            except Exception:  # noqa: BLE001  the boundary of one piece of work
                # Whatever one trip does, the others go on. Its next report brings it up again.
                _log.exception("a trip cannot be judged", action="trip.failed", trip=claimed.trip)
                connection.execute(SQL["postpone"], {"brand": claimed.brand, "trip": claimed.trip})
        return 1

    def _judge(self, connection: Connection, claimed: Any) -> None:  # noqa: ANN401  a row's columns are the query's
        ground = self._ground(connection, claimed)
        whole = {"brand": claimed.brand, "device": claimed.device, "begins": claimed.begins, "ends": claimed.ends}
        kept = _opened(claimed.state, claimed.version)
        judge = Judge(ground, kept, lambda: _reports(connection, whole, None))
        news = connection.execute(SQL["take_news"], {"brand": claimed.brand, "trip": claimed.trip}).fetchall()
        if kept is None:
            judge.state.told = _told(claimed.state)
            judge.state.changed = bool(judge.state.told)
            changes = judge.observe(_reports(connection, whole, None))
        else:
            changes = judge.observe(_reports(connection, whole, [row.at for row in news]))
        now = milliseconds(claimed.now) or 0
        changes += judge.advance(min(now, (milliseconds(claimed.ends) or 0) + DEFAULT_RULES.reorder_s * 1000))
        if claimed.now > claimed.ends + _SETTLED or (claimed.now > claimed.ends and judge.state.finished is None):
            changes += judge.conclude(now)
        for change in changes:
            _write(connection, claimed, change)
        _save(connection, claimed, judge.state)
        _log.info("trip", action="trip.judged", trip=claimed.trip, reports=len(news), changes=len(changes))

    def _ground(self, connection: Connection, claimed: Any) -> Ground:  # noqa: ANN401  a row's columns are the query's
        key = (claimed.brand, claimed.trip, claimed.version)
        if key not in self._grounds:
            query = {"brand": claimed.brand, "trip": claimed.trip, "version": claimed.version}
            row = connection.execute(SQL["plan"], query).fetchone()
            if len(self._grounds) >= _REMEMBERED:
                self._grounds.pop(next(iter(self._grounds)))
            self._grounds[key] = Ground(
                Plan.model_validate(row.plan if row else None).trip(claimed.trip), DEFAULT_RULES
            )
        return self._grounds[key]


class _Kept(msgspec.Struct, frozen=True):
    """A judgement as it is stored, and the version of the plan that it was made by."""

    version: int
    state: State


def _opened(raw: bytes | None, version: int) -> State | None:
    """Return the stored judgement, None where there is none or it was made by an earlier plan."""
    if raw is None:
        return None
    kept = msgspec.msgpack.decode(raw, type=_Kept)
    return kept.state if kept.version == version else None


def _told(raw: bytes | None) -> list[tuple[str, Episode]]:
    """Return what was told by an earlier plan: a new one takes it back or lets it stand."""
    return [] if raw is None else msgspec.msgpack.decode(raw, type=_Kept).state.told


def _reports(connection: Connection, whole: Mapping[str, Any], ats: Iterable[datetime] | None) -> list[Report]:
    query = {**whole, "ats": None if ats is None else list(ats)}
    found: list[Report] = [
        Fix(milliseconds(row.at) or 0, row.device, row.lon, row.lat, row.accuracy_m, row.speed_mps)
        for row in connection.execute(SQL["fixes"], query)
    ]
    handlings = connection.execute(SQL["handlings"], query)
    found += [Handling(milliseconds(row.at) or 0, row.device, HandlingKind(row.kind), row.amount) for row in handlings]
    return found


def _write(connection: Connection, claimed: Any, change: Change) -> None:  # noqa: ANN401  a row's columns are the query's
    episode = change.episode
    notes = [{"code": note.code, "numbers": note.numbers} for note in episode.notes]
    row = {
        "brand": claimed.brand,
        "trip": claimed.trip,
        "version": claimed.version,
        "episode": change.id,
        "action": change.action,
        "kind": episode.kind,
        "subject": episode.subject,
        "severity": episode.severity,
        "started_at": _moment(episode.start),
        "ended_at": None if episode.end is None else _moment(episode.end),
        "notes": msgspec.json.encode(notes).decode(),
        "evidence": [_moment(at) for at in episode.evidence],
    }
    connection.execute(SQL["insert_episode"], row)
    connection.execute(SQL["tell_console"], {"brand": claimed.brand})
    told = {name: row[name] for name in ("trip", "episode", "kind", "subject", "severity", "started_at", "ended_at")}
    told |= {"device": claimed.device, "notes": notes}
    enqueue(connection, claimed.brand, f"trip.{change.action.value}", told)


def _save(connection: Connection, claimed: Any, state: State) -> None:  # noqa: ANN401  a row's columns are the query's
    over = claimed.now > claimed.ends + _SETTLED
    row = {
        "brand": claimed.brand,
        "trip": claimed.trip,
        "state": msgspec.msgpack.encode(_Kept(claimed.version, state)),
        "due_at": None if over else claimed.now + LOOK_AGAIN,
        "stop": sum(stop.left is not None for stop in state.stops) if state.finished is None else len(state.stops),
        "progress_m": state.hypotheses[0].s if state.hypotheses else None,
        "last_at": _moment(state.last.at) if state.last else None,
        "finished_at": None if state.finished is None else _moment(state.finished),
    }
    connection.execute(SQL["save_work"], row)


def _moment(milliseconds_: int) -> datetime:
    return datetime.fromtimestamp(milliseconds_ / 1000.0, UTC)
