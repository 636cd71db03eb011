"""Sums of alerts on papers and registers: taken again from what an alert states, and told where they do not follow."""

from typing import Any

import pytest
from engine_streams import NETWORK, goods, ms, paper, sighting

from trace_service.cases.reproduce import FiguresError, reproduced
from trace_service.detection.detectors.offroute import OffRouteDetector
from trace_service.detection.explaining.explanation import explain, facts_stored
from trace_service.detection.network import Network
from trace_service.detection.observations import Position, Shipment, Sighting, Source
from trace_service.detection.settings import DAY_MS, Settings

Row = dict[str, Any]
PARTS = [
    {"case": f"case {number}", "nats": nats, "first_at": ms(3), "note": ""} for number, nats in enumerate((6.0, 4.5))
]
# Detector, figures, the sum that its rule makes of them, and a figure that is changed behind its back.
STATED: list[tuple[str, Row, float, Row]] = [
    ("backflow", {"cases": 2}, 7.0, {"cases": 5}),
    ("rebind", {"moved_before": 3, "approvers": ["li.wei"]}, 14.0, {"approvers": ["li.wei", "wang"]}),
    ("level_skip", {"lot_cases": 12, "silence_nats": 3.8, "cases": 2}, 7.8, {"silence_nats": 0.8}),
    ("withheld", {"cases": 3, "weeks_later": True}, 12.0, {"weeks_later": False}),
    ("off_route", {"stops": 2, "far": False}, 8.5, {"far": True}),
    ("forged", {"devices": 3, "issued_form": True}, 11.5, {"devices": 9}),
    ("clone", {"devices": 3}, 10.5 - 1.0986, {}),
]


def stored(detector: str, figures: Row, nats: float, settings: str = Settings().version) -> Row:
    """Return an alert as its row holds it."""
    parameters = {**figures, "nats": round(nats, 3), "threshold": 6.9, "contributions": PARTS, "band": [0.9, 0.99]}
    reason = {"code": detector, "parameters": parameters, "versions": {"settings": settings}}
    return {"id": 7, "reason": reason, "probability": 0.96, "material": None}


@pytest.mark.parametrize(
    ("detector", "figures", "nats", "changed"), STATED, ids=lambda each: each if isinstance(each, str) else ""
)
def test_a_sum_follows_from_the_figures_beside_it_and_from_no_others(
    detector: str, figures: Row, nats: float, changed: Row
) -> None:
    row = stored(detector, figures, nats)
    said = explain(facts_stored(row["reason"], row["probability"], None))
    assert (said.recomputed, said.agrees) == (pytest.approx(nats, abs=0.002), True)
    assert all(each.agrees for each in reproduced([row]))
    for other in (stored(detector, figures | changed, nats), stored(detector, figures, nats + 1)):
        if other != row:
            assert not all(each.agrees for each in reproduced([other])), "a figure was changed and nobody noticed"


@pytest.mark.parametrize("detector", ["withheld", "off_route", "forged", "outflow", "dwell"])
def test_what_the_figures_are_not_enough_for_is_not_computed(detector: str) -> None:
    row = stored(detector, {"cases": 3, "stops": 2, "devices": 3}, 12.0)
    said = explain(facts_stored(row["reason"], row["probability"], None))
    assert (said.recomputed, said.agrees) == (None, None)


def test_other_settings_have_other_rules_and_no_figures_are_no_alert() -> None:
    row = stored("backflow", {"cases": 2}, 99.0, settings="1")
    assert [each.computed for each in reproduced([row])] == [None]
    with pytest.raises(FiguresError):
        list(reproduced([stored("rebind", {}, 14.0)]))


def test_an_alert_off_route_says_which_way_its_shipment_should_have_gone_and_when_it_was_seen_where() -> None:
    detector = OffRouteDetector(NETWORK, Settings())
    far = Position(source=Source.GPS, lat=26.0, lon=119.3, accuracy_m=30)
    way, stop = (
        paper("SH1", range(9), 1, sender="D1", receiver="D2"),
        sighting("stop", goods(0), 2, "inspect", position=far),
    )
    for each in (way, stop):
        assert isinstance(each, Shipment | Sighting)
        list(detector.observe(each, each.received_at))
    (claim,) = detector.close_day(ms(2) + 4 * DAY_MS)
    figures = claim.figures
    assert figures["departed"] == ms(1)
    assert [each["at"] for each in figures["places"]] == [ms(2)]
    assert figures["places"][0]["adcode"] == Network(NETWORK.channel).city_near(26.0, 119.3)
    assert figures["places"][0]["km"] > 2 * figures["way_km"] > 0
    ends = [(dealer.lat, dealer.lon) for dealer in (NETWORK.dealers["D1"], NETWORK.dealers["D2"])]
    assert [tuple(each) for each in figures["ends"]] == [pytest.approx(end, abs=1e-4) for end in ends]
