"""Fences on devices and on the command line: trusted, refused with the reason, and judged like the server judges."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import shapely
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from cli.main import main
from contracts.fence import FenceError
from edge.fence import FenceStore
from firmware_sim.trackers import simulate
from geofence.finding import Verdict
from geofence.trips import Kind, judge_trip
from trace_service.trips.fences import Stamp, of_area, of_trip, signed

KEY = Ed25519PrivateKey.generate()
NOW = datetime(2026, 3, 1, tzinfo=UTC)
SQUARE = shapely.box(104.0, 30.0, 104.2, 30.2).difference(shapely.box(104.05, 30.05, 104.1, 30.1))


def stamp(audience: str, version: int = 1, days: float = 7) -> Stamp:
    return Stamp(audience, version, NOW, NOW + timedelta(days=days))


def store(folder: Path, audience: str, days_later: float = 0) -> FenceStore:
    now = int((NOW + timedelta(days=days_later)).timestamp() * 1000)
    return FenceStore(folder, audience, KEY.public_key(), lambda: now)


def area(audience: str = "site:dc", version: int = 1) -> bytes:
    return signed(of_area("dc", SQUARE, "territory"), stamp(audience, version), KEY)


def test_a_site_judges_positions_by_its_fence(tmp_path: Path) -> None:
    held = store(tmp_path, "site:dc")
    held.offer(area())
    assert held.current is not None
    inside = held.current.judge(104.15, 30.15, 10.0)
    assert (inside.verdict, inside.p_inside) == (Verdict.INSIDE, 1.0)
    assert held.current.judge(104.075, 30.075, 10.0).verdict is Verdict.OUTSIDE
    border = held.current.judge(104.2, 30.15, 50.0)
    assert border.verdict is Verdict.UNCERTAIN
    assert border.p_inside == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("data", "later", "code"),
    [
        (area("site:other"), 0, "FENCE_FOREIGN"),
        (area("device:dc"), 0, "FENCE_FOREIGN"),
        (area()[:-1] + bytes([area()[-1] ^ 1]), 0, "FENCE_SIGNATURE"),
        (area().replace(b'"version":1', b'"version":9'), 0, "FENCE_SIGNATURE"),
        (area(), 8, "FENCE_EXPIRED"),
        (b"nothing", 0, "FENCE_INVALID"),
    ],
)
def test_what_cannot_be_trusted_is_refused_and_the_present_one_kept(
    tmp_path: Path, data: bytes, later: float, code: str
) -> None:
    store(tmp_path, "site:dc").offer(area(version=1))
    held = store(tmp_path, "site:dc", later)
    assert held.load() is None
    with pytest.raises(FenceError) as refused:
        held.offer(data)
    assert refused.value.code == code
    assert held.current is not None


def test_an_older_fence_is_refused_even_after_a_restart(tmp_path: Path) -> None:
    store(tmp_path, "site:dc").offer(area(version=5))
    restarted = store(tmp_path, "site:dc", 30)
    assert restarted.load() is None
    assert restarted.current is not None
    assert restarted.current.head.version == 5
    assert restarted.current.is_expired(int((NOW + timedelta(days=30)).timestamp() * 1000))
    with pytest.raises(FenceError) as refused:
        restarted.offer(area(version=4))
    assert refused.value.code == "FENCE_OLDER"


@pytest.mark.parametrize("kind", [None, Kind.OFF_ROUTE, Kind.SKIPPED_STOP, Kind.FORBIDDEN_SITE])
def test_a_truck_judges_its_trip_as_the_server_does(tmp_path: Path, kind: Kind | None) -> None:
    trip = simulate(8001, kind)
    held = store(tmp_path, f"device:{trip.plan.device}")
    held.offer(signed(of_trip(trip.plan), stamp(f"device:{trip.plan.device}"), KEY))
    assert held.current is not None
    judge = held.current.follow()
    reports = [report for _, report in trip.deliveries]
    judge.observe(reports)
    judge.conclude(judge.state.newest)
    assert [each.kind for each in judge.episodes] == ([kind] if kind else [])
    server = judge_trip(trip.plan, reports)
    assert [(each.kind, each.start, each.end) for each in judge.episodes] == [
        (each.kind, each.start, each.end) for each in server
    ]


def run(*arguments: str, given: str = "") -> Result:
    return CliRunner().invoke(main, ["fence", *arguments], input=given)


@pytest.fixture
def keys(tmp_path: Path) -> tuple[str, str]:
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    private.write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return str(private), str(public)


def test_the_command_makes_shows_and_asks_a_fence(tmp_path: Path, keys: tuple[str, str]) -> None:
    private, public = keys
    drawn = tmp_path / "dc.geojson"
    feature = {"type": "Feature", "id": "dc", "properties": {}, "geometry": shapely.geometry.mapping(SQUARE)}
    drawn.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    target = str(tmp_path / "dc.fence")
    built = run("build", "--area", str(drawn), "--for", "site:dc", "--key", private, "--out", target)
    assert built.exit_code == 0, built.output
    assert "bytes, 1 shapes, 10 points" in built.stderr
    told = json.loads(run("show", target, "--json").stdout)
    assert (told["audience"], told["version"], told["points"]) == ("site:dc", 1, 10)
    points = "id,lon,lat,accuracy_m\na,104.15,30.15,10\nb,104.07,30.07,10\nc,x,1,1\nd,104.2,30.1,40\n"
    checked = run("check", target, "--for", "site:dc", "--key", public, "--points", "-", given=points)
    assert checked.exit_code == 1
    rows = list(csv.DictReader(io.StringIO(checked.stdout)))
    assert [row["verdict"] for row in rows] == ["inside", "outside", "", "uncertain"]
    assert rows[2]["error"]
    wrong = run("check", target, "--for", "site:other", "--key", public, "--points", "-", given=points)
    assert (wrong.exit_code, "FENCE_FOREIGN" in wrong.stderr) == (1, True)
    Path(target).write_bytes(Path(target).read_bytes().replace(b"dc-1", b"dc-2"))
    forged = run("check", target, "--for", "site:dc", "--key", public, "--points", "-", given=points)
    assert (forged.exit_code, "FENCE_SIGNATURE" in forged.stderr) == (1, True)


def test_bad_input_is_one_line_with_its_remedy(tmp_path: Path, keys: tuple[str, str]) -> None:
    private, public = keys
    target = str(tmp_path / "x.fence")
    bad = tmp_path / "bad.json"
    bad.write_text('{"device": "truck-1"}')
    area = tmp_path / "area.geojson"
    square = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}
    site = {"type": "Feature", "id": "dc", "properties": {}, "geometry": square}
    area.write_text(json.dumps({"type": "FeatureCollection", "features": [site]}))
    answers = [
        run("build", "--trip", str(bad), "--for", "device:truck-1", "--key", private, "--out", target),
        run("build", "--trip", str(bad), "--for", "device:truck-1", "--key", public, "--out", target),
        run("build", "--area", str(bad), "--for", "site:dc", "--key", private, "--out", target),
        run("show", str(bad)),
        run("build", "--area", str(area), "--for", "site:dc", "--key", private, "--out", str(tmp_path / "none" / "x")),
        run("check", str(bad), "--for", "site:dc", "--key", str(bad), "--points", "-"),
    ]
    for answer in answers:
        assert answer.exit_code == 1, answer.output
        assert answer.stderr.startswith("Error: ")
        assert len(answer.stderr.strip().splitlines()) == 1


def test_a_simulated_trip_can_be_judged_from_files(tmp_path: Path) -> None:
    invoke = CliRunner().invoke
    made = invoke(main, ["trip", "simulate", "--seed", "9", "--kind", "long_stop", "--out", str(tmp_path)])
    assert made.exit_code == 0, made.output
    files = ["--plan", str(tmp_path / "trip.json"), "--reports", str(tmp_path / "track.csv")]
    judged = invoke(main, ["trip", "judge", *files, "--json"])
    (violation,) = [json.loads(line) for line in judged.stdout.splitlines()]
    (truth,) = json.loads((tmp_path / "truth.json").read_text())
    assert judged.exit_code == 1
    assert violation["kind"] == truth["kind"] == "long_stop"
    assert abs(violation["start"] - truth["start"]) < 120_000
    invoke(main, ["trip", "simulate", "--seed", "9", "--out", str(tmp_path)])
    calm = invoke(main, ["trip", "judge", *files])
    assert (calm.exit_code, calm.stdout) == (0, "")


def test_reports_that_cannot_be_judged_are_told_and_not_guessed(tmp_path: Path) -> None:
    invoke = CliRunner().invoke
    invoke(main, ["trip", "simulate", "--seed", "9", "--out", str(tmp_path)])
    judge = ["trip", "judge", "--plan", str(tmp_path / "trip.json"), "--reports", "-"]
    for row, reason in (
        ("", "no report"),
        ("99999999999999999999,104,30,5\n", "line 2: 99999999999999999999 is no time"),
    ):
        answer = invoke(main, judge, input=f"at,lon,lat,accuracy_m\n{row}")
        assert (answer.exit_code, answer.stdout) == (1, "")
        assert reason in answer.stderr


def test_a_truck_without_network_tells_what_changes_as_it_drives(tmp_path: Path, keys: tuple[str, str]) -> None:
    private, public = keys
    invoke = CliRunner().invoke
    invoke(main, ["trip", "simulate", "--seed", "11", "--kind", "off_route", "--out", str(tmp_path)])
    target = str(tmp_path / "truck.fence")
    audience = ["--for", "device:truck-00011", "--key"]
    built = run("build", "--trip", str(tmp_path / "trip.json"), *audience, private, "--out", target)
    assert built.exit_code == 0, built.output
    track = (tmp_path / "track.csv").read_text()
    answer = run("follow", target, *audience, public, given=track + "never,104,30,5,,\n")
    told = [json.loads(line) for line in answer.stdout.splitlines()]
    assert [each["action"] for each in told] == ["raised", "ended"]
    assert {each["kind"] for each in told} == {"off_route"}
    assert told[0]["end"] is None
    assert (answer.exit_code, "line " in answer.stderr) == (1, True)
