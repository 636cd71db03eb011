"""The plan on live data: what the engine knows at the close of a day, the nightly plan, and what came of its visits."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import msgspec
from msgspec import Struct

from contracts.errors import ConfigurationError
from trace_service.detection.engine import Engine
from trace_service.detection.live.feed import milliseconds
from trace_service.inspections.gain import Model, prospects
from trace_service.inspections.model import Base, Known, Look, Place, Share, Suspicion, Visit
from trace_service.inspections.observing import Watch
from trace_service.inspections.planning import plan, ranked
from trace_service.inspections.queries import SQL
from trace_service.inspections.tours import Rules
from trace_service.places import load_places
from trace_service.store.connection import Connection

_MOST_CELLS: Final = 500
_LISTED: Final = 12
_LOOK_DAYS: Final = 180
_NOT_GENUINE: Final = "?"


def observe_engine(connection: Connection, brand: str, engine: Engine) -> None:
    """Keep what a plan needs of a brand's engine: its strongest cells now. Called at the close of each day."""
    if engine.clock is None:
        return
    found = sorted(Watch(engine).suspicions(engine.clock), key=lambda each: -each.probability)[:_MOST_CELLS]
    places = [
        Place(city=each.adcode, lat=each.lat, lon=each.lon, population=each.population)
        for each in engine.network.cities
    ]
    row = {
        "brand": brand,
        "places": msgspec.json.encode(places).decode(),
        "at": datetime.fromtimestamp(engine.clock / 1000, UTC),
        "suspicions": msgspec.json.encode(found).decode(),
        "versions": msgspec.json.encode(
            {"settings": engine.settings.version, "calibration": engine.calibration.version}
        ).decode(),
    }
    connection.execute(SQL["put_state"], row)


def put_base(connection: Connection, brand: str, base: Base) -> None:
    """Note where an inspector of a brand starts; no hours give the base up."""
    connection.execute(SQL["put_base"], {"brand": brand, **msgspec.structs.asdict(base)})


def bases(connection: Connection, brand: str) -> list[Base]:
    """Return the bases of a brand that stand."""
    return [Base(**row._asdict()) for row in connection.execute(SQL["bases"], {"brand": brand})]


class Record(Struct, frozen=True):
    """Visits that are done, and those that found something, of one share."""

    visits: int
    hits: int


def record(connection: Connection, brand: str, now: datetime) -> dict[Share, Record]:
    """Return how the planned visits of half a year did, and those by lot that they are held against."""
    done = [(Share(row.share), _dealers(row)) for row in _looks(connection, brand, now)]
    return {
        share: Record(
            sum(each is share for each, _ in done), sum(each is share and bool(found) for each, found in done)
        )
        for share in Share
    }


def known(connection: Connection, brand: str, now: datetime) -> tuple[Known, datetime | None]:
    """Return what a plan starts from, and when the engine last said what it knows."""
    state = connection.execute(SQL["state"], {"brand": brand}).fetchone()
    suspicions = msgspec.convert(state.suspicions, tuple[Suspicion, ...]) if state else ()
    looks = tuple(
        Look(city=row.city, at=milliseconds(row.at), dealers=_dealers(row)) for row in _looks(connection, brand, now)
    )
    places = msgspec.convert(state.places, tuple[Place, ...]) if state else _largest()
    return Known(places=places, suspicions=suspicions, looks=looks), state.at if state else None


def make_plan(connection: Connection, brand: str, night: date, now: datetime) -> int | None:
    """Make and keep the plan of a night, in one transaction; None where another process has.

    Raises `ConfigurationError` where nobody has said where inspectors start.
    """
    starts = bases(connection, brand)
    if not starts:
        raise ConfigurationError(
            f"{brand} has no base of inspectors", advice="codefence inspect base BRAND NAME --lat … --lon …"
        )
    with connection.transaction():
        found, state_at = known(connection, brand, now)
        seed, moment, model = _seed(brand), milliseconds(now), Model()
        row = {"brand": brand, "night": night, "seed": seed, "model": model.version, "state_at": state_at}
        begun = connection.execute(SQL["begin_plan"], row).fetchone()
        if begun is None:
            return None
        expected = prospects(found, moment, seed, model)
        tours = plan(expected, starts, moment, seed, Rules(crews=len(starts)))
        stops = {tour.base.name: tour.visits for tour in tours}
        rows = [line for base in starts for line in _lines(base, stops.get(base.name, ()), ranked(expected, base))]
        connection.execute(SQL["insert_visits"], {"plan": begun.id, "brand": brand, "rows": _json(rows)})
    return int(begun.id)


def newest(connection: Connection, brand: str) -> tuple[Any, list[Any]] | None:
    """Return the newest plan of a brand and its visits by base and rank, None before the first."""
    found = connection.execute(SQL["newest_plan"], {"brand": brand}).fetchone()
    return None if found is None else (found, connection.execute(SQL["visits"], {"plan": found.id}).fetchall())


def _largest() -> tuple[Place, ...]:
    """Return the cities that a plan knows before the engine has said anything."""
    return tuple(
        Place(city=each.adcode, lat=each.lat, lon=each.lon, population=float(each.population)) for each in load_places()
    )


def _lines(base: Base, stops: Sequence[Visit], order: Sequence[Visit]) -> list[dict[str, Any]]:
    """Return a base's rows: its day first, then what is worth most beside it."""
    there = {each.prospect.place.city for each in stops}
    rest = [each for each in order if each.prospect.place.city not in there][:_LISTED]
    return [
        {
            "base": base.name,
            "rank": rank,
            "stop": rank if rank <= len(stops) else None,
            "city": visit.prospect.place.city,
            "lon": visit.prospect.place.lon,
            "lat": visit.prospect.place.lat,
            "share": visit.share.value,
            "gain": visit.prospect.gain,
            "explore": visit.prospect.explore,
            "hours": visit.hours,
            "reasons": msgspec.to_builtins(visit.prospect.reasons[:5]),
        }
        for rank, visit in enumerate([*stops, *rest], start=1)
    ]


def _looks(connection: Connection, brand: str, now: datetime) -> list[Any]:
    query = {"brand": brand, "since": now - timedelta(days=_LOOK_DAYS)}
    return connection.execute(SQL["looks"], query).fetchall()


def _dealers(row: Any) -> tuple[str, ...]:  # noqa: ANN401  a row
    """Return whose goods a visit found; labels that are not genuine, or removed, are nobody's."""
    return (*(row.dealers or ()), *((_NOT_GENUINE,) if row.removed or row.not_genuine else ()))


def _seed(brand: str) -> int:
    return int.from_bytes(hashlib.sha256(brand.encode()).digest()[:6])


def _json(rows: list[dict[str, Any]]) -> str:
    return msgspec.json.encode(rows).decode()
