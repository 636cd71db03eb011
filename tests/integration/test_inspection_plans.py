"""From the engine's day to a plan, a task, a result, and another plan: on the real database and through the console."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta

import asking
import httpx
import msgspec
import psycopg
import pytest
from click.testing import CliRunner
from conftest import TestDatabase
from console_world import BRAND, DEALER, OTHER_LOGIN, PASSWORD, Site, add_person, make_world, running
from psycopg.types.json import Jsonb

from cli.main import main
from trace_service.cases.checks import Found, Report, report_check
from trace_service.cases.machine import Actor
from trace_service.domain.roles import Role
from trace_service.inspections import store
from trace_service.inspections.model import Base, Place, Share, Suspicion
from trace_service.inspections.nights import plan_due
from trace_service.inspections.orders import order_visit
from trace_service.store.connection import connect
from trace_service.web.errors import RoleMissingError

NIGHT = date(2026, 3, 2)
NOW = datetime(2026, 3, 2, 1, tzinfo=UTC)
JIAXING, SHAOXING = "330400", "330600"
HOME = Base(name="杭州", lat=30.27, lon=120.16)
ANALYST = Actor(BRAND, "lin", Role.ANALYST)
INSPECTOR = Actor(BRAND, "zhao", Role.INSPECTOR)


@pytest.fixture
def site(database: TestDatabase) -> Iterator[Site]:
    world = make_world(database.owner_dsn, database.trace_dsn, cases=4)
    add_person(world, "lin", "analyst")
    add_person(world, "zhao", "inspector")
    with running(world) as site:
        yield site


@pytest.fixture
def trace(site: Site) -> Iterator[psycopg.Connection[object]]:
    """Connect as the service does, with no right that it lacks."""
    with connect(site.world.settings.database_url.get_secret_value(), "test") as connection:
        store.put_base(connection, BRAND, HOME)
        yield connection


def suspect(city: str, probability: float, at: datetime = NOW) -> Suspicion:
    seen = int((at - timedelta(days=2)).timestamp() * 1000)
    return Suspicion(
        dealer=DEALER, city=city, probability=probability, nats=5.0, short=1.0, cases=2, last_seen=seen
    )  # fmt: skip


def believe(connection: psycopg.Connection[object], *suspicions: Suspicion) -> None:
    places = [
        Place(city=city, lat=lat, lon=lon, population=5e6)
        for city, lat, lon in ((JIAXING, 30.75, 120.76), (SHAOXING, 30.0, 120.58), ("330700", 29.08, 119.65))
    ]
    seen, known = (Jsonb(msgspec.to_builtins(each)) for each in (suspicions, places))
    row = {"brand": BRAND, "at": NOW, "suspicions": seen, "places": known, "versions": Jsonb({})}
    connection.execute(store.SQL["put_state"], row)


def cities(connection: psycopg.Connection[object]) -> list[str]:
    found = store.newest(connection, BRAND)
    assert found is not None
    return [each.city for each in found[1] if each.share == "planned"]


def test_plan_task_result_and_another_plan(trace: psycopg.Connection[object]) -> None:
    believe(trace, suspect(JIAXING, 0.6), suspect(SHAOXING, 0.55))
    assert store.make_plan(trace, BRAND, NIGHT, NOW) is not None
    found = store.newest(trace, BRAND)
    assert found is not None
    first = {each.city: each for each in found[1]}
    assert {JIAXING, SHAOXING} <= set(cities(trace)[:3])
    assert first[JIAXING].reasons[0]["dealer"] == DEALER
    assert sum(each.hours for each in found[1] if each.stop) <= HOME.hours + 1e-6
    check = order_visit(trace, ANALYST, first[JIAXING].id, ("嘉兴", "看五家店"), "zhao")
    report_check(trace, INSPECTOR, check, Report(result=Found.NOT_FOUND), [])
    told = datetime.now(UTC)
    assert store.record(trace, BRAND, told)[Share(first[JIAXING].share)] == store.Record(visits=1, hits=0)
    believe(trace, suspect(JIAXING, 0.6, told), suspect(SHAOXING, 0.55, told))
    assert store.make_plan(trace, BRAND, NIGHT + timedelta(days=1), told) is not None
    again = store.newest(trace, BRAND)
    assert again is not None
    second = {each.city: each for each in again[1]}
    assert second[JIAXING].reasons[0]["probability"] < first[JIAXING].reasons[0]["probability"]
    assert second[SHAOXING].gain > second[JIAXING].gain


def test_a_find_counts_as_one_and_a_removed_code_too(trace: psycopg.Connection[object]) -> None:
    believe(trace, suspect(JIAXING, 0.6), suspect(SHAOXING, 0.6))
    store.make_plan(trace, BRAND, NIGHT, NOW)
    found = store.newest(trace, BRAND)
    assert found is not None
    visits = {each.city: each for each in found[1]}
    check = order_visit(trace, ANALYST, visits[SHAOXING].id, ("绍兴", "看五家店"), None)
    report_check(trace, INSPECTOR, check, Report(result=Found.CODE_REMOVED), [])
    done = store.record(trace, BRAND, datetime.now(UTC))
    assert sum(each.hits for each in done.values()) == 1


def test_a_first_plan_waits_until_the_engine_suspects_something_and_then_for_no_hour(
    trace: psycopg.Connection[object], database: TestDatabase
) -> None:
    with psycopg.connect(database.owner_dsn) as owner:  # whatever this machine's clock says
        owner.execute("UPDATE trace.inspection_base SET recorded_at = %s", (NOW,))
    believe(trace)
    assert plan_due(trace, NOW, "0 4 * * *") == []
    believe(trace, suspect(JIAXING, 0.1))
    before_four = datetime(2026, 3, 1, 18, tzinfo=UTC)
    assert plan_due(trace, before_four, "0 4 * * *") == [BRAND]
    assert JIAXING in cities(trace)
    assert plan_due(trace, before_four + timedelta(days=1), "0 4 * * *") == []
    assert plan_due(trace, before_four + timedelta(days=1, hours=3), "0 4 * * *") == [BRAND]


def test_a_first_plan_waits_no_longer_than_a_day(trace: psycopg.Connection[object], database: TestDatabase) -> None:
    with psycopg.connect(database.owner_dsn) as owner:  # which may be about to see a new day
        owner.execute("UPDATE trace.inspection_base SET recorded_at = %s", (NOW,))
    assert plan_due(trace, NOW, "0 0 * * *") == []
    assert plan_due(trace, NOW + timedelta(days=2), "0 0 * * *") == [BRAND]


def test_each_night_has_one_plan_and_brands_without_bases_none(trace: psycopg.Connection[object]) -> None:
    believe(trace, suspect(JIAXING, 0.1))
    evening = datetime(2026, 3, 2, 22, tzinfo=UTC)  # 6 in the morning of the third
    assert plan_due(trace, evening, "0 4 * * *") == [BRAND]
    assert plan_due(trace, evening, "0 4 * * *") == []
    assert store.make_plan(trace, BRAND, date(2026, 3, 3), evening) is None
    store.put_base(trace, BRAND, Base(name=HOME.name, lat=HOME.lat, lon=HOME.lon, hours=0.0))
    assert plan_due(trace, evening + timedelta(days=1), "0 4 * * *") == []


def test_who_may_send_and_report(trace: psycopg.Connection[object]) -> None:
    store.make_plan(trace, BRAND, NIGHT, NOW)
    found = store.newest(trace, BRAND)
    assert found is not None
    visit = found[1][0].id
    with pytest.raises(RoleMissingError):
        order_visit(trace, INSPECTOR, visit, ("x", "y"), None)
    check = order_visit(trace, ANALYST, visit, ("x", "y"), None)
    with pytest.raises(RoleMissingError):
        report_check(trace, Actor(BRAND, "he", Role.VIEWER), check, Report(result=Found.NOT_FOUND), [])


@contextmanager
def sign_in(site: Site, login: str) -> Iterator[httpx.Client]:
    with asking.Client(base_url=site.url, headers={"Origin": site.url, "Accept-Language": "zh"}) as client:
        csrf = client.get("/login").text.partition('name="csrf" value="')[2].partition('"')[0]
        assert client.post("/login", data={"login": login, "password": PASSWORD, "csrf": csrf}).status_code == 303
        yield client


def test_the_console_and_programs_send_somebody_once(site: Site, trace: psycopg.Connection[object]) -> None:
    believe(trace, suspect(JIAXING, 0.6))
    store.make_plan(trace, BRAND, NIGHT, NOW)
    with sign_in(site, "lin") as lin, sign_in(site, OTHER_LOGIN) as rival:
        plan = lin.get("/api/v1/inspections/plan").json()
        visit = next(each["id"] for each in plan["visits"] if each["city"] == JIAXING)
        assert plan["record"]["lot"] == {"visits": 0, "hits": 0}
        assert rival.get("/api/v1/inspections/plan").status_code == 404
        page = lin.get("/inspections").text
        csrf = page.partition('name="csrf" value="')[2].partition('"')[0]
        assert "嘉兴" in page
        stranger = rival.get("/inspections").text.partition('name="csrf" value="')[2].partition('"')[0]
        assert rival.post(f"/inspections/{visit}/check", data={"csrf": stranger}).status_code == 404
        sent = lin.post(f"/inspections/{visit}/check", data={"csrf": csrf, "assignee": "zhao"})
        assert sent.status_code == 303
        task = lin.get(sent.headers["location"]).text
        assert "嘉兴" in task
        assert "成都" in task, "whose goods to look for"
        headers = {"X-CSRF-Token": csrf}
        again = lin.post(f"/api/v1/inspections/{visit}/check", json={}, headers=headers)
        assert again.status_code == 409
        drawn = lin.get("/api/map/inspections.geojson").json()
    assert {each["properties"]["role"] for each in drawn["features"]} >= {"scan"}


def test_the_command_makes_tonight_s_plan_and_says_what_is_missing(
    site: Site, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACE_DATABASE_URL", database.trace_dsn)
    monkeypatch.setenv("TRACE_KEY_ENCRYPTION_KEY", site.world.settings.key_encryption_key.get_secret_value())
    missing = CliRunner().invoke(main, ["inspect", "plan", BRAND])
    assert missing.exit_code == 1
    assert "codefence inspect base" in missing.output
    added = CliRunner().invoke(main, ["inspect", "base", BRAND, "Hangzhou", "--lat", "30.27", "--lon", "120.16"])
    assert added.exit_code == 0, added.output
    made = CliRunner().invoke(main, ["inspect", "plan", BRAND, "--json"])
    assert made.exit_code == 0, made.output
    rows = [json.loads(line) for line in made.output.splitlines()]
    assert rows[0]["stop"] == 1
    assert {row["base"] for row in rows} == {"Hangzhou"}
    listed = CliRunner().invoke(main, ["inspect", "bases", BRAND, "--json"])
    assert json.loads(listed.output)["hours"] == 9.0
