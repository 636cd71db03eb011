"""Thresholds of a brand: recorded, never changed, and taken up by workers with their next batch."""

import json

import pytest
from click.testing import CliRunner
from trace_market import PLACES, Market

from contracts.errors import ConfigurationError
from geofence.errors import PolicyError
from geofence.finding import DEFAULT_POLICY, Policy
from trace_service.cli.group import trace
from trace_service.policies import policy_history, set_policy
from trace_service.processing.books import Books

BRAND = "qingyuan"


def test_the_last_thresholds_of_a_brand_count_and_the_earlier_ones_stay_on_record(market: Market) -> None:
    books = Books(market.atoms)
    assert books.current(market.connection)[BRAND].policy == DEFAULT_POLICY
    set_policy(market.connection, BRAND, Policy(0.95, 0.02), "ann")
    set_policy(market.connection, BRAND, Policy(0.8, 0.1), "bob")
    assert books.current(market.connection)[BRAND].policy == Policy(0.8, 0.1)
    assert [(row.inside_at, row.recorded_by) for row in policy_history(market.connection, BRAND)] == [
        (0.8, "bob"),
        (0.95, "ann"),
    ]
    with pytest.raises(ConfigurationError, match="nobody"):
        set_policy(market.connection, "nobody", DEFAULT_POLICY, "ann")


def test_a_verdict_goes_by_the_thresholds_of_its_brand(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    # Beside a vertex of the dealer's border, where the error of a phone lies on both sides.
    book = Books(market.atoms).current(market.connection)[BRAND].territories
    version = next(each for each in book.versions if each.dealer == "D-CHENGDU")
    lon, lat = book.border(version)[0, :2].tolist()
    monkeypatch.setitem(PLACES, "the border", (lon, lat))
    case = market.cases_to("D-CHENGDU")[0]
    market.land(*market.pack(case), market.ship(case, "D-CHENGDU"), market.consumer(case["items"][0], "the border"))
    market.drain()
    query = "SELECT place, p_inside FROM trace.verdict WHERE place <> 'not_checked' ORDER BY occurred_at, seq"
    ((place, p_inside),) = market.rows(query)
    assert place == "uncertain"
    set_policy(market.connection, BRAND, Policy(p_inside - 0.01, 0.01), "ann")
    market.land(market.consumer(case["items"][1], "the border"))
    market.drain()
    assert market.rows(query)[-1] == ("inside", p_inside)


@pytest.mark.parametrize(("inside", "outside"), [(0.5, 0.5), (0.2, 0.6), (1.2, 0.1), (float("nan"), 0.1)])
def test_thresholds_without_room_between_them_are_refused(inside: float, outside: float) -> None:
    with pytest.raises(PolicyError, match="inside from"):
        Policy(inside, outside)


def test_the_command_sets_and_shows(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACE_DATABASE_URL", market.database.trace_dsn)
    monkeypatch.setenv("TRACE_KEY_ENCRYPTION_KEY", "A" * 43 + "=")
    run = CliRunner()
    assert run.invoke(trace, ["policy", "set", "--brand", BRAND, "--inside", "0.97"]).exit_code == 0
    shown = run.invoke(trace, ["policy", "show", "--json"])
    assert [json.loads(line)["inside_at"] for line in shown.stdout.splitlines()] == [0.97]
    refused = run.invoke(trace, ["policy", "set", "--brand", BRAND, "--inside", "0.1", "--outside", "0.2"])
    assert refused.exit_code == 1
    assert "geofence_policy" in refused.output
