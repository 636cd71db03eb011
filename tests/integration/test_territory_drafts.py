"""Territories from a draft to old answers: published versions, past scans replayed, and what would have changed."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from psycopg import errors
from trace_market import PLACES, START, Market

from cli.main import main
from geofence.proposed.remarks import CONCERNS
from trace_service.processing.books import Books
from trace_service.territories.documents import Stated, read_draft
from trace_service.territories.drafts import Decision, Published, propose, publish, report_on
from trace_service.territories.errors import DraftDecidedError, DraftRefusedError
from trace_service.territories.simulation import replay, simulate

BRAND = "qingyuan"
# Around the places in Nanjing and Wuhan where the market's consumers scan.
NANJING = [[118.6, 31.9], [119.0, 31.9], [119.0, 32.2], [118.6, 32.2], [118.6, 31.9]]
ALL = Decision("tester", CONCERNS)


def feature(dealer: str, *adcodes: str, ring: list[list[float]] | None = None, **stated: object) -> dict[str, Any]:
    geometry = {"type": "Polygon", "coordinates": [ring]} if ring else None
    properties = {"dealer": dealer, "adcodes": list(adcodes), "valid_from": "2024-01-01T00:00:00Z", **stated}
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def stated(*features: dict[str, Any]) -> list[Stated]:
    found, remarks = read_draft(document(*features))
    assert remarks == []
    return found


def document(*features: dict[str, Any]) -> bytes:
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()


def published(market: Market, *features: dict[str, Any], decision: Decision = ALL) -> Published:
    number = propose(market.connection, BRAND, "draft", stated(*features), "tester")
    return publish(market.connection, BRAND, number, market.atoms, decision)


def scanned(market: Market) -> None:
    """One case of Chengdu's, scanned at home, in Nanjing, in Wuhan and in Hangzhou."""
    case = market.cases_to("D-CHENGDU")[0]
    places = ["chengdu", "nanjing", "wuhan", "hangzhou"]
    scans = [market.consumer(case["items"][number], place) for number, place in enumerate(places)]
    market.land(*market.pack(case), market.ship(case, "D-CHENGDU"), *scans)
    market.drain()


def places(market: Market) -> dict[str, str]:
    rows = market.rows("SELECT city, place FROM trace.verdict WHERE activity = 'consumer' AND city IS NOT NULL")
    return {city: place for city, place in rows}  # noqa: C416  rows are tuples of any length


def test_old_scans_give_the_old_answers_after_three_versions_and_today_gives_new_ones(market: Market) -> None:
    scanned(market)
    first = places(market)
    assert first == {"510100": "inside", "320100": "outside", "420100": "outside", "330100": "outside"}
    published(market, feature("D-CHENGDU", "510100", "420100"), decision=Decision("tester", CONCERNS, rejudge=True))
    market.drain()
    second = places(market)
    assert second == {**first, "420100": "inside"}
    published(market, feature("D-CHENGDU", "510100", ring=NANJING), decision=Decision("tester", CONCERNS, rejudge=True))
    market.drain()
    third = places(market)
    assert third == {**first, "320100": "inside"}
    published(market, feature("D-CHENGDU", "330100"))
    # The stored verdicts, replaced ones as well, are what the versions known in their time say; today says otherwise.
    book = Books(market.atoms).current(market.connection)[BRAND]
    replayed = list(replay(market.connection, BRAND, book, ["D-CHENGDU"], datetime.now(UTC)))
    assert len(replayed) == 3 * 4
    for each in replayed:
        assert each.row.place == each.then.verdict.value
        assert each.row.p_inside == each.then.p_inside
        assert each.then.territory_version is not None
        assert each.row.territory == book.version_ids[each.then.territory_version.sha256]
    today = {each.row.city: each.now.verdict.value for each in replayed}
    assert today == {"510100": "outside", "320100": "outside", "420100": "outside", "330100": "inside"}


def test_a_simulation_says_what_publishing_then_does(market: Market) -> None:
    scanned(market)
    proposal = feature("D-CHENGDU", "510100", ring=NANJING)
    book = Books(market.atoms).current(market.connection)[BRAND]
    versions = [each.proposal(datetime.now(UTC)).version for each in stated(proposal)]
    found = simulate(market.connection, BRAND, book, versions)
    assert (found.scans, found.changed) == (4, 1)
    assert found.as_row()["places"] == [
        {"dealer": "D-CHENGDU", "city": "320100", "before": "outside", "after": "inside", "scans": 1}
    ]
    (example,) = found.examples
    assert (example.lon, example.lat) == pytest.approx(PLACES["nanjing"], abs=0.13)
    assert (example.p_before, example.p_after) == (0.0, 1.0)
    assert market.rows("SELECT count(*) FROM trace.territory WHERE draft IS NOT NULL") == [(0,)]
    later = simulate(market.connection, BRAND, book, versions, (START + timedelta(days=1), datetime.now(UTC)))
    assert later.scans == 0


def test_a_territory_of_a_product_line_counts_for_its_products_alone(market: Market) -> None:
    gtin = market.cases_to("D-CHENGDU")[0]["items"][0].split("/01/")[1][:14]
    with psycopg.connect(market.database.owner_dsn) as owner:
        owner.execute("UPDATE trace.product SET product_line = 'gold' WHERE gtin = %s", (gtin,))
    published(market, feature("D-CHENGDU", "330100", product_line="gold"))
    scanned(market)
    assert places(market) == {"510100": "outside", "320100": "outside", "420100": "outside", "330100": "inside"}
    book = Books(market.atoms).current(market.connection)[BRAND]
    plain = book.territories.in_force(book.query("D-CHENGDU", "0" * 14, START, datetime.now(UTC)))
    assert plain is not None
    assert plain.adcodes == ("510100",)


def test_the_database_keeps_what_was_published(market: Market) -> None:
    done = published(market, feature("D-CHENGDU", "510100", "420100"))
    statements = (
        "UPDATE trace.territory SET adcodes = '{}' WHERE id = %s",
        "DELETE FROM trace.territory WHERE id = %s",
        "UPDATE trace.territory_draft SET proposals = '[]' WHERE id = %s",
        "DELETE FROM trace.territory_draft WHERE id = %s",
    )
    for statement in statements:
        with pytest.raises(errors.InsufficientPrivilege):
            market.connection.execute(statement, (done.territories[0],))
    with psycopg.connect(market.database.owner_dsn) as owner:
        owner.execute("UPDATE trace.territory SET valid_to = '2030-01-01' WHERE id = %s", (done.territories[0],))
    # What somebody with more rights altered is noticed and left out.
    book = Books(market.atoms).current(market.connection)[BRAND]
    assert done.territories[0] not in book.version_ids.values()


def test_a_draft_is_published_once_and_only_without_anything_against_it(market: Market) -> None:
    number = propose(market.connection, BRAND, "d", stated(feature("D-CHENGDU", "510100", "330100")), "tester")
    with pytest.raises(DraftRefusedError) as refused:
        publish(market.connection, BRAND, number, market.atoms, Decision("tester"))
    against = {(each.code.value, each.dealer, each.other) for each in refused.value.remarks}
    assert ("beyond_parent", "D-CHENGDU", "D-SICHUAN") in against
    assert ("overlap", "D-CHENGDU", "D-HANGZHOU") in against
    publish(market.connection, BRAND, number, market.atoms, Decision("tester", ("beyond_parent", "overlap")))
    assert market.rows("SELECT state, decided_by, accepted FROM trace.territory_draft") == [
        ("published", "tester", ["beyond_parent", "overlap"])
    ]
    with pytest.raises(DraftDecidedError):
        publish(market.connection, BRAND, number, market.atoms, ALL)


def test_the_demo_can_be_published_again_and_nothing_changes(market: Market) -> None:
    rows = market.rows("SELECT dealer, adcodes, exclusive FROM trace.territory")
    features = [feature(dealer, *codes, exclusive="yes" if own else "no") for dealer, codes, own in rows]
    remarks = report_on(market.connection, BRAND, stated(*features), market.atoms)
    assert {each.code.value for each in remarks} <= {"no_change", "gap", "retroactive"}
    assert published(market, *features).territories == ()


BAD = {
    "crossing": ([[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]], "crosses itself"),
    "swapped": ([[31.9, 118.6], [31.9, 119.0], [32.2, 119.0], [31.9, 118.6]], "swapped"),
    "nan": ([[0, 1], [1, float("nan")], [1, 0], [0, 1]], "no number"),
    "far": ([[1e9, 1], [1, 1], [1, 0], [1e9, 1]], "longitude"),
    "flat": ([[1, 1], [2, 2], [1, 1], [1, 1]], "crosses itself"),
}


@pytest.mark.parametrize(("ring", "reason"), BAD.values(), ids=BAD)
def test_geometry_that_misleads_is_refused_with_the_feature_and_the_reason(ring: list[Any], reason: str) -> None:
    good = feature("D-CHENGDU", "510100")
    found, (remark,) = read_draft(document(good, feature("D-NANJING", ring=ring)))
    assert [each.dealer for each in found] == ["D-CHENGDU"]
    assert (remark.where, remark.dealer) == ("feature 1", "D-NANJING")
    assert reason in remark.words


def test_the_command_reports_publishes_lists_and_shows(
    market: Market, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scanned(market)
    monkeypatch.setenv("TRACE_DATABASE_URL", market.database.trace_dsn)
    monkeypatch.setenv("TRACE_KEY_ENCRYPTION_KEY", "A" * 43 + "=")
    table = tmp_path / "spring.csv"
    table.write_text("经销商编号,授权区域,生效日期\nD-CHENGDU,510100 511700,2026-01-01\n", "utf-8")

    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(main, ["territory", *arguments, "--brand", BRAND])
        return result.exit_code, result.stdout

    code, text = run("report", str(table), "--json")
    told = {each["code"]: each for each in json.loads(text)["remarks"]}
    assert code == 0
    assert told["replaces"]["where"] == "line 2"
    code, text = run("simulate", str(table), "--json")
    assert (code, json.loads(text)["scans"]) == (0, 4)
    code, text = run("publish", str(table), "--json")
    (number,) = json.loads(text)["territories"]
    _, text = run("list", "--dealer", "D-CHENGDU", "--json")
    rows = [json.loads(line) for line in text.splitlines()]
    assert [(row["id"], row["source"], row["adcodes"]) for row in rows[:1]] == [
        (number, "draft 1", ["510100", "511700"])
    ]
    assert all(row["sound"] for row in rows)
    _, text = run("show", "--dealer", "D-CHENGDU")
    (shown,) = json.loads(text)["features"]
    assert (shown["id"], shown["geometry"]["type"]) == (number, "MultiPolygon")
    code, text = run("publish", str(table), "--json")
    assert (code, json.loads(text)["territories"]) == (0, [])
    table.write_text("dealer,adcodes,valid_from\nD-NOBODY,999999,2026-01-01\n", "utf-8")
    code, text = run("publish", str(table))
    assert code == 1
    assert "unknown_dealer: line 2: there is no dealer D-NOBODY" in text
    assert run("report", str(tmp_path / "absent.csv"))[0] == 2
