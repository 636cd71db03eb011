import json

import asking
import psycopg
import pytest
from click.testing import CliRunner
from conftest import TestDatabase
from console_world import LOGIN, PASSWORD, make_world, running
from custody_yard import CASE, PALLET, Yard
from test_console_pages import log_in
from trace_market import Market, Message

from cli.main import main
from geofence.maps import AtomMap
from trace_service.domain.events import Step

KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


def ship(yard: Yard) -> str:
    """Ship a pallet, refuse its case, take a block back; return an item inside."""
    unit = yard.packed_pallet()[0]
    wrong = yard.event(Step.BLOCK, 70, unit, reason="<seal>")
    yard.capture(yard.event(Step.SHIP, 60, PALLET), yard.event(Step.SHIP, 65, CASE, shipment="SO-9"), wrong)
    yard.capture(yard.event(Step.CORRECT, 80, unit, corrects=wrong.source, reason="did_not_occur"))
    yard.connection.close()
    return unit


@pytest.mark.parametrize(
    ("language", "words"), [("zh", ("在途", "仍在包装内", "已撤销")), ("en", ("under way", "inside a pack"))]
)
def test_the_page_of_a_code_shows_state_path_and_timeline(
    database: TestDatabase, language: str, words: tuple[str, ...]
) -> None:
    world = make_world(database.owner_dsn, database.trace_dsn)
    unit = ship(Yard(database, demo=False))
    with running(world) as site:
        headers = {"Origin": site.url, "Accept-Language": language}
        with asking.Client(base_url=site.url, headers=headers) as client:
            assert client.get("/codes").status_code == 303
            log_in(client, LOGIN, PASSWORD)
            page = client.get("/codes", params={"code": unit, "at": "2026-03-02T20:00", "known": ""}).text
            assert all(word in page for word in (*words, "D-CHENGDU", "SO-1", "&lt;seal&gt;"))
            early = client.get("/codes", params={"code": unit, "at": "2026-03-02T16:30"}).text
            assert words[0] not in early
            then = client.get("/codes", params={"code": unit, "known": "2026-03-02T16:30"}).text
            assert "SO-1" not in then
            assert client.get("/codes", params={"code": "hello"}).status_code == 422
            assert client.get("/codes", params={"code": unit, "at": "noon"}).status_code == 422


def test_the_command_answers_for_any_moment(database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = ship(Yard(database))
    monkeypatch.setenv("TRACE_DATABASE_URL", database.trace_dsn)
    monkeypatch.setenv("TRACE_KEY_ENCRYPTION_KEY", KEY)

    def ask(*arguments: str) -> tuple[int, str]:
        answer = CliRunner().invoke(main, ["trace", "history", *arguments])
        return answer.exit_code, answer.output

    code, text = ask(shipped, "--at", "2026-03-02T17:30+08:00", "--json")
    found = json.loads(text)
    assert (code, found["state"], found["dealer"], found["parents"]) == (0, "in_transit", "D-CHENGDU", [CASE, PALLET])
    assert found["levels"][-1] == "D-CHENGDU"
    refused = [each for each in found["timeline"] if each["refused"]]
    assert [(each["shipment"], each["refused"]) for each in refused] == [("SO-9", "inside_parent")]
    assert "retracted" in ask(shipped)[1]
    assert json.loads(ask(shipped, "--known", "2026-03-01", "--json")[1])["state"] == "unknown"
    assert ask("/00/395060001999999992")[0] == 1
    assert ask("hello")[0] == 2
    assert ask(shipped, "--at", "noon")[0] == 2


def test_a_scan_of_a_batch_that_is_commissioned_later_counts_from_then_on(
    database: TestDatabase, atoms: AtomMap
) -> None:
    market = Market(database, atoms)
    case = market.cases_to("D-CHENGDU")[0]
    with psycopg.connect(database.owner_dsn) as owner:
        owner.execute("UPDATE trace.batch SET commissioned_at = NULL")
    market.land(*market.pack(case), market.ship(case, "D-CHENGDU"))
    market.drain()
    assert {row[0] for row in market.rows("SELECT reason FROM trace.quarantine")} == {"code_not_accepted"}
    with psycopg.connect(database.owner_dsn) as owner:
        owner.execute("UPDATE trace.batch SET commissioned_at = now()")
    market.drain()
    assert market.rows("SELECT count(*) FROM trace.quarantine WHERE resolved_at IS NULL") == [(0,)]
    assert market.rows("SELECT count(*) FROM trace.containment") == [(len(case["items"]),)]
    market.close()


def test_a_late_correction_by_a_partner_changes_the_verdicts_on_scans(database: TestDatabase, atoms: AtomMap) -> None:
    market = Market(database, atoms)
    yard = Yard(database)
    case = market.cases_to("D-CHENGDU")[0]
    ship = market.ship(case, "D-CHENGDU")
    market.land(*market.pack(case), ship, market.consumer(case["items"][0], "nanjing"))
    market.drain()
    assert market.rows("SELECT place FROM trace.verdict WHERE activity = 'consumer'") == [("outside",)]
    unit = f"/00/{case['sscc']}"
    target = yard.rows(f"SELECT device, boot, seq FROM trace.custody_event WHERE unit = '{unit}'")[0]  # noqa: S608  ours
    correction = yard.event(Step.CORRECT, 300, unit, corrects=type(yard.event(Step.PACK, 0).source)(*target))
    right = yard.event(Step.SHIP, 30, unit, dealer="D-NANJING", shipment="SO-N")
    assert yard.capture(correction, right) == [None, None]
    market.drain()
    assert market.rows("SELECT place, dealer FROM trace.verdict WHERE activity = 'consumer'") == [
        ("inside", "D-NANJING")
    ]
    market.land(Message("station-ship", "dc-east", market.number(), 500, case["label"], "ship", "", "SO-X", "D-WUHOU"))
    market.drain()
    assert market.rows("SELECT custody_state FROM trace.verdict ORDER BY occurred_at DESC LIMIT 1") == [
        ("already_shipped",)
    ]
    yard.connection.close()
    market.close()
