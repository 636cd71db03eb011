"""A simulated truck from its transport system over HTTP to violations, GeoJSON, webhooks and the console."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asking
import httpx
import psycopg
import pytest
from conftest import TestDatabase, fresh_database
from console_world import BRAND, LOGIN, PASSWORD, Site, make_world, running

from cli.embedded.postgres import Database
from contracts.fence import verify
from edge.fence import HeldFence
from firmware_sim.trackers import SimulatedTrip, simulate
from geofence.trips import Fix, Handling, Kind
from trace_service.keys import KeyWrapper
from trace_service.orders.access import issue_token
from trace_service.signing import signing_key
from trace_service.store.connection import connect
from trace_service.tokens import add_token
from trace_service.trips.judging import TripBench

DAY_MS = 86_400_000


@dataclass
class Fleet:
    """A running console with a partner's client, and a worker's bench."""

    site: Site
    database: TestDatabase
    client: httpx.Client

    def work(self) -> None:
        bench = TripBench()
        with connect(self.database.trace_dsn, "tests") as connection:
            while bench.work(connection):
                pass

    def query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database.owner_dsn, autocommit=True) as connection:
            return connection.execute(sql, values).fetchall()  # type: ignore[call-overload]

    def due(self) -> None:
        with psycopg.connect(self.database.owner_dsn, autocommit=True) as connection:
            connection.execute("UPDATE trace.trip_work SET due_at = now() WHERE due_at IS NOT NULL")


@pytest.fixture(scope="module")
def fleet(postgres: Database, migrated_template: str) -> Iterator[Fleet]:
    with (
        fresh_database(postgres, migrated_template) as database,
        running(make_world(database.owner_dsn, database.trace_dsn)) as site,
    ):
        with connect(database.trace_dsn, "tests") as connection:
            token = add_token(connection, BRAND, "tms", ["trips"], timedelta(days=1))
        headers = {"Authorization": f"Bearer {token}"}
        with asking.Client(base_url=f"{site.url}/api/v1", headers=headers) as client:
            yield Fleet(site, database, client)


def shift_of(trip: SimulatedTrip) -> int:
    """Return how many milliseconds bring a simulated trip to yesterday."""
    last = max(report.at for _, report in trip.deliveries)
    return int((datetime.now(UTC) - timedelta(hours=3)).timestamp() * 1000) - last


def moment(at: int | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at / 1000, UTC).isoformat()


def draft(trip: SimulatedTrip, shift: int) -> dict[str, Any]:
    plan = trip.plan

    def moved(at: int | None) -> str | None:
        return None if at is None else moment(at + shift)

    first = min(report.at for _, report in trip.deliveries)
    last = max(report.at for _, report in trip.deliveries)
    return {
        "device": plan.device,
        "begins": moved(first - 60_000),
        "ends": moved(last + 60_000),
        "legs": [{"line": leg.line, "width_m": leg.width_m} for leg in plan.legs],
        "sites": [
            {"id": site.id, "role": site.role, "centre": [site.lon, site.lat], "radius_m": site.radius_m}
            for site in plan.sites
        ],
        "stops": [
            {
                "site": stop.site,
                "opens": moved(stop.opens),
                "closes": moved(stop.closes),
                "departs_by": moved(stop.departs_by),
                "min_dwell_s": stop.min_dwell_s,
                "max_dwell_s": stop.max_dwell_s,
            }
            for stop in plan.stops
        ],
    }


def send(fleet: Fleet, reports: Sequence[Fix | Handling], shift: int) -> dict[str, int]:
    totals = {"stored": 0, "repeated": 0, "refused": 0}
    for start in range(0, len(reports), 1000):
        part = reports[start : start + 1000]
        fixes = [
            {"device": each.device, "at": moment(each.at + shift), "lon": each.lon, "lat": each.lat}
            | {"accuracy_m": each.accuracy_m}
            for each in part
            if isinstance(each, Fix)
        ]
        handlings = [
            {"device": each.device, "at": moment(each.at + shift), "kind": each.kind, "amount": each.amount}
            for each in part
            if isinstance(each, Handling)
        ]
        answer = fleet.client.post("/trips/reports", json={"fixes": fixes, "handlings": handlings})
        assert answer.status_code == 200, answer.text
        body = answer.json()
        totals = {name: totals[name] + (len(body[name]) if name == "refused" else body[name]) for name in totals}
    return totals


def arrived(trip: SimulatedTrip) -> list[Fix | Handling]:
    return [report for _, report in trip.deliveries]


def test_a_detour_is_told_once_with_its_map_and_a_webhook(fleet: Fleet) -> None:
    trip = simulate(7001, Kind.OFF_ROUTE)
    shift = shift_of(trip)
    placed = fleet.client.put("/trips/T-1", json=draft(trip, shift))
    assert (placed.status_code, placed.json()["version"]) == (201, 1)
    assert fleet.client.put("/trips/T-1", json=draft(trip, shift)).json()["outcome"] == "unchanged"
    fleet.query(
        "INSERT INTO trace.webhook (brand, url, topics, secret) VALUES (%s, 'https://tms.example', '{trip.*}', 'x')"
        " RETURNING id",
        BRAND,
    )
    reports = arrived(trip)
    half = len(reports) // 2
    assert send(fleet, reports[:half], shift)["stored"] > 0
    fleet.work()
    again = send(fleet, reports, shift)
    assert again["repeated"] >= half - again["stored"]
    fleet.work()
    shown = fleet.client.get("/trips/T-1").json()
    standing = [each for each in shown["violations"] if each["state"] != "retracted"]
    assert [each["kind"] for each in standing] == ["off_route"]
    assert standing[0]["state"] == "ended"
    assert {note["code"] for note in standing[0]["notes"]} == {"away_from_corridor"}
    assert shown["trip"]["stop"] == shown["trip"]["stops"]
    features = fleet.client.get("/trips/T-1/map.geojson").json()["features"]
    roles = [each["properties"]["role"] for each in features]
    assert {"corridor", "site", "track", "violation"} == set(roles)
    assert len(features[roles.index("violation")]["geometry"]["coordinates"]) > 3
    topics = [row[0] for row in fleet.query("SELECT topic FROM trace.webhook_delivery ORDER BY id")]
    assert topics.count("trip.raised") - topics.count("trip.retracted") == 1


def test_a_late_upload_takes_a_silence_back_and_the_past_can_be_asked_for(fleet: Fleet) -> None:
    trip = simulate(7003, Kind.MISSING_SIGNAL)
    honest = simulate(7003)
    assert trip.planted is not None
    del honest
    shift = shift_of(trip)
    fleet.client.put("/trips/T-2", json=draft(trip, shift))
    send(fleet, arrived(trip), shift)
    fleet.work()
    before = fleet.client.get("/trips/T-2").json()["violations"]
    assert [each["kind"] for each in before if each["state"] != "retracted"] == ["missing_signal"]
    known_at = datetime.now(UTC).isoformat()
    ordered = sorted((r for r in arrived(trip) if isinstance(r, Fix)), key=lambda each: each.at)
    last = max((r for r in ordered if r.at <= trip.planted.start), key=lambda each: each.at)
    first = min((r for r in ordered if r.at >= trip.planted.end), key=lambda each: each.at)
    share = [number / 40 for number in range(1, 40)]
    leg = [
        Fix(
            int(last.at + part * (first.at - last.at)),
            last.device,
            last.lon + part * (first.lon - last.lon),
            last.lat + part * (first.lat - last.lat),
            200.0,
        )
        for part in share
    ]
    send(fleet, leg, shift)
    fleet.work()
    after = fleet.client.get("/trips/T-2").json()["violations"]
    assert [each["state"] for each in after if each["kind"] == "missing_signal"] == ["retracted"]
    past = fleet.client.get("/trips/T-2", params={"known_at": known_at}).json()["violations"]
    assert [each["state"] for each in past if each["kind"] == "missing_signal"] == ["ended"]


def test_a_truck_that_was_never_heard_of_is_told_once(fleet: Fleet) -> None:
    trip = simulate(7010)
    fleet.client.put("/trips/T-6", json=draft(trip, shift_of(trip)))
    fleet.work()
    (violation,) = fleet.client.get("/trips/T-6").json()["violations"]
    assert (violation["kind"], violation["notes"][0]["code"]) == ("missing_signal", "never_heard")


def test_a_changed_plan_is_judged_anew(fleet: Fleet) -> None:
    trip = simulate(7004, Kind.LATE_ARRIVAL)
    shift = shift_of(trip)
    wanted = draft(trip, shift)
    fleet.client.put("/trips/T-3", json=wanted)
    send(fleet, arrived(trip), shift)
    fleet.work()
    violations = fleet.client.get("/trips/T-3").json()["violations"]
    assert [each["kind"] for each in violations if each["state"] != "retracted"] == ["late_arrival"]
    for stop in wanted["stops"]:
        stop["closes"] = None
    assert fleet.client.put("/trips/T-3", json=wanted).json() == {"trip": "T-3", "version": 2, "outcome": "changed"}
    fleet.work()
    assert {each["state"] for each in fleet.client.get("/trips/T-3").json()["violations"]} == {"retracted"}


def test_stored_sites_and_routes_serve_trips_that_name_them(fleet: Fleet) -> None:
    trip = simulate(7005)
    shift = shift_of(trip)
    wanted = draft(trip, shift)
    for site in wanted.pop("sites"):
        assert fleet.client.put(f"/trip-sites/{site.pop('id')}", json=site).status_code == 204
    assert fleet.client.put("/trip-routes/tour", json={"legs": wanted.pop("legs")}).status_code == 204
    assert fleet.client.put("/trips/T-4", json=wanted | {"route": "tour"}).status_code == 201
    names = [site["id"] for site in fleet.client.get("/trip-sites").json()["sites"]]
    assert set(names) >= {stop["site"] for stop in wanted["stops"]}
    assert fleet.client.delete(f"/trip-sites/{names[0]}").status_code == 204
    assert names[0] not in [site["id"] for site in fleet.client.get("/trip-sites").json()["sites"]]
    refused = fleet.client.put("/trips/T-5", json=wanted | {"route": "elsewhere"})
    assert (refused.status_code, refused.json()["code"]) == (422, "TRIP_REFUSED")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"stops": [{"site": "nowhere"}, {"site": "nowhere"}]}, "nowhere"),
        ({"legs": [{"line": [[104.0, 30.0], [200.0, 30.0]], "width_m": 500}]}, "legs"),
        ({"legs": [{"line": [[30.6, 104.0], [30.7, 104.1]], "width_m": 500}]}, "legs"),
        ({"ends": "2020-01-01T00:00:00Z"}, "ends"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(fleet: Fleet, change: dict[str, Any], complaint: str) -> None:
    trip = simulate(7006)
    answer = fleet.client.put("/trips/T-9", json=draft(trip, shift_of(trip)) | change)
    assert answer.status_code == 422
    assert complaint in answer.text


def test_reports_from_another_time_are_refused_one_by_one(fleet: Fleet) -> None:
    now = int(datetime.now(UTC).timestamp() * 1000)
    good = Fix(now, "truck-x", 104.0, 30.0, 5.0)
    totals = send(fleet, [good, Fix(now - 31 * DAY_MS, "truck-x", 104.0, 30.0, 5.0)], 0)
    assert totals == {"stored": 1, "repeated": 0, "refused": 1}
    raw = {"device": "truck-x", "at": moment(now + 1000), "lon": 104.0, "lat": 30.0, "accuracy_m": 5, "crs": "gcj02"}
    assert fleet.client.post("/trips/reports", json={"fixes": [raw]}).json()["stored"] == 1
    ((lon, raw_lon),) = fleet.query("SELECT lon, raw_lon FROM trace.trip_fix WHERE crs = 'gcj02'")
    assert raw_lon == 104.0
    assert 0.001 < 104.0 - lon < 0.01


def test_another_brand_and_another_scope_see_nothing(fleet: Fleet) -> None:
    with connect(fleet.database.trace_dsn, "tests") as connection:
        rival = add_token(connection, "rival", "tms", ["trips"], timedelta(days=1))
        other = add_token(connection, BRAND, "shop", ["check"], timedelta(days=1))
    url = f"{fleet.site.url}/api/v1/trips"
    assert asking.get(url, headers={"Authorization": f"Bearer {rival}"}).json()["trips"] == []
    assert asking.get(f"{url}/T-1", headers={"Authorization": f"Bearer {rival}"}).status_code == 404
    assert asking.get(url, headers={"Authorization": f"Bearer {other}"}).status_code == 403


@contextmanager
def signed_in(fleet: Fleet, language: str) -> Iterator[httpx.Client]:
    with asking.Client(
        base_url=fleet.site.url, headers={"Origin": fleet.site.url}, cookies={"lang": language}, follow_redirects=True
    ) as client:
        found = re.search(r'name="csrf" value="([^"]+)"', client.get("/login").text)
        assert found is not None
        client.post("/login", data={"login": LOGIN, "password": PASSWORD, "csrf": found[1]})
        yield client


@pytest.mark.parametrize(
    ("language", "heading", "reason"),
    [("zh", "偏离路线", "离路线最远"), ("en", "Left the corridor", "from the route, where the corridor is")],
)
def test_a_page_draws_the_trip_and_says_what_went_wrong(fleet: Fleet, language: str, heading: str, reason: str) -> None:
    trip = simulate(7007, Kind.OFF_ROUTE)
    shift = shift_of(trip)
    name = f"P-{language}"
    fleet.client.put(f"/trips/{name}", json=draft(trip, shift))
    send(fleet, arrived(trip), shift)
    fleet.work()
    with signed_in(fleet, language) as browser:
        listed = browser.get("/trips").text
        page = browser.get(f"/trips/{name}")
    assert f'href="/trips/{name}"' in listed
    assert page.status_code == 200
    assert heading in page.text
    assert reason in page.text
    assert page.text.count('class="trip-map"') == 2
    assert 'class="trip-wrong trip-warning"' in page.text
    assert "Content-Security-Policy" in page.headers
    assert "style=" not in page.text.replace("color-scheme", "")


def test_a_truck_fetches_its_own_fence_with_its_token(fleet: Fleet) -> None:
    trip = simulate(7012)
    now = int(datetime.now(UTC).timestamp() * 1000)
    shift = now - min(report.at for _, report in trip.deliveries)
    with connect(fleet.database.owner_dsn, "tests") as connection:
        connection.execute(
            "INSERT INTO landing.device (id, site, kind) VALUES (%s, 'dc-east', 'station')", (trip.plan.device,)
        )
        token = issue_token(connection, trip.plan.device)
        key = signing_key(connection, KeyWrapper(fleet.site.world.settings.key_encryption_key)).private.public_key()
    url = f"{fleet.site.url}/api/v1/stations/fence"
    headers = {"Authorization": f"Bearer {token}"}
    parked = asking.get(url, headers=headers)
    assert verify(parked.content, key)[0].audience == "site:dc-east"
    fleet.client.put("/trips/T-F", json=draft(trip, shift))
    given = asking.get(url, headers=headers)
    head, points = verify(given.content, key)
    assert (head.audience, head.version, head.source) == (f"device:{trip.plan.device}", 1, "T-F")
    assert HeldFence(head, points).plan.stops == tuple(
        replace(
            stop,
            opens=stop.opens and stop.opens + shift,
            closes=stop.closes and stop.closes + shift,
            departs_by=stop.departs_by and stop.departs_by + shift,
        )
        for stop in trip.plan.stops
    )
    assert asking.get(url, headers=headers, params={"since": 1}).status_code == 204
    own = {"device": trip.plan.device, "at": moment(now), "lon": 104.0, "lat": 30.0, "accuracy_m": 5}
    reports = f"{fleet.site.url}/api/v1/stations/reports"
    assert asking.post(reports, headers=headers, json={"fixes": [own]}).json()["stored"] == 1
    assert asking.post(reports, headers=headers, json={"fixes": [own | {"device": "other"}]}).status_code == 422
    assert asking.get(url, headers={"Authorization": "Bearer cfd_x"}).status_code == 401


def test_a_plan_of_another_brand_does_not_take_over_a_truck(fleet: Fleet) -> None:
    with connect(fleet.database.owner_dsn, "tests") as connection:
        row = connection.execute("SELECT id FROM trace.site WHERE dealer IS NOT NULL LIMIT 1").fetchone()
        assert row is not None
        places = {"dealers-truck": row[0], "shared-truck": "dc-east"}
        for device, site in places.items():
            connection.execute("INSERT INTO landing.device (id, site, kind) VALUES (%s, %s, 'station')", (device, site))
        devices = {each: issue_token(connection, each) for each in places}
        rival = add_token(connection, "rival", "tms-of-rivals", ["trips"], timedelta(days=1))
    now = datetime.now(UTC)
    at = (104.0, 30.0), (104.2, 30.2)
    plan = {
        "begins": (now - timedelta(hours=1)).isoformat(), "ends": (now + timedelta(days=1)).isoformat(),
        "sites": [{"id": name, "centre": place, "radius_m": 300} for name, place in zip("AB", at, strict=True)],
        "stops": [{"site": "A"}, {"site": "B"}], "legs": [{"line": at, "width_m": 200}],
    }  # fmt: skip
    theirs = {"Authorization": f"Bearer {rival}"}

    def report(device: str) -> int:
        fix = {"device": device, "at": datetime.now(UTC).isoformat(), "lon": 104.1, "lat": 30.1, "accuracy_m": 5}
        headers = {"Authorization": f"Bearer {devices[device]}"}
        url = f"{fleet.site.url}/api/v1/stations/reports"
        return asking.post(url, headers=headers, json={"fixes": [fix]}).status_code

    def planned(device: str, headers: dict[str, str] | None = None) -> int:
        body = plan | {"device": device}
        return fleet.client.put(f"/trips/plan-{device}", json=body, headers=headers).status_code

    assert planned("dealers-truck", headers=theirs) == 201
    assert report("dealers-truck") == 404, "a dealer's truck follows its own brand"
    assert planned("dealers-truck") == 201
    assert planned("shared-truck") == 201
    assert (report("dealers-truck"), report("shared-truck")) == (200, 200)
    assert planned("shared-truck", headers=theirs) == 201
    assert report("shared-truck") == 404, "the brands disagree"
    fixes = fleet.query("SELECT DISTINCT brand FROM trace.trip_fix WHERE device = ANY(%s)", list(places))
    assert fixes == [(BRAND,)]
