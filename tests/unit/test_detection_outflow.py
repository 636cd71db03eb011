"""One shipment spread over many foreign cities speaks, where no city does; presents and gateways do not."""

from collections import Counter
from collections.abc import Sequence
from math import exp, lgamma

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_service.detection.changes import Raised, Retracted
from trace_service.detection.detectors.outflow import scattered_nats
from trace_service.detection.engine import Engine
from trace_service.detection.network import Channel, Dealer, Network, Place, Store, Territory
from trace_service.detection.observations import Goods, Movement, Observation, Position, Sighting, Source, Withdrawn
from trace_service.detection.settings import DAY_MS
from trace_service.detection.sightings import AT_HOME

START = 20_000 * DAY_MS
HOME = ("510100", 30.6, 104.1)
# Twelve cities far from home and from each other, each in a province of its own.
AWAY = [(f"{code}0100", 22.0 + place * 1.7, 112.0 + place % 3 * 4) for place, code in enumerate(range(31, 43))]
NETWORK = Network(
    Channel(
        dealers=(Dealer(id="D", parent=None, level=1, kind="city", lat=30.6, lon=104.1),),
        territories=(Territory(dealer="D", adcodes=("510100",), valid_from=0),),
        places=tuple(Place(adcode=code, lat=lat, lon=lon, population=5e6) for code, lat, lon in [HOME, *AWAY]),
        stores=(Store(id="SHOP", dealer="D", lat=30.6, lon=104.1, adcode="510100", valid_from=0),),
    )
)


def scan(case: str, shipment: str, place: tuple[str, float, float], day: float) -> Sighting:
    moment = START + int(day * DAY_MS)
    return Sighting(
        key=f"{case}/{place[0]}", event=f"{case}/{place[0]}", kind="scan",
        goods=Goods(unit=case, case=case, dealer="D", shipment=shipment, shipped_at=START, chain=("D",)),
        position=Position(source=Source.GPS, lat=place[1], lon=place[2], accuracy_m=20.0),
        occurred_at=moment, received_at=moment, device=f"phone-{case}",
    )  # fmt: skip


def honest() -> list[Observation]:
    """Twelve shipments of which nine cases in ten are seen at home."""
    found: list[Observation] = []
    for number in range(12):
        for place in range(10):
            where = AWAY[number] if place == 0 else HOME
            found.append(scan(f"S{number}-{place}", f"S{number}", where, 1 + number + place / 20))
    return found


def raised(engine: Engine, observations: Sequence[Observation]) -> list[str]:
    return [
        change.alert.detector for each in observations for change in engine.observe(each) if isinstance(change, Raised)
    ]


def test_a_shipment_in_many_cities_is_an_alert_that_names_it_and_one_case_a_city() -> None:
    engine = Engine(NETWORK)
    assert raised(engine, honest()) == []
    spread = [scan(f"X-{place}", "X", city, 20 + place) for place, city in enumerate(AWAY)]
    changes = [change for each in spread for change in engine.observe(each)]
    (first,) = [each.alert for each in changes if isinstance(each, Raised)]
    assert (first.detector, first.dealer, first.shipments, first.adcode) == ("outflow", "D", ("X",), None)
    figures = first.reason["parameters"]
    assert figures["observed"] == len(first.cases) > 4 * figures["expected"]
    taken_back = [
        change for each in spread for change in engine.observe(Withdrawn(key=each.key, received_at=START + 40 * DAY_MS))
    ]
    assert any(isinstance(each, Retracted) for each in taken_back)


def test_a_company_s_present_to_one_city_is_no_outflow() -> None:
    engine = Engine(NETWORK)
    raised(engine, honest())
    together = [scan(f"X-{place}", "X", AWAY[0], 20 + place / 24) for place in range(8)]
    assert "outflow" not in raised(engine, together)


def test_travellers_whose_case_was_opened_at_home_are_no_outflow() -> None:
    engine = Engine(NETWORK)
    raised(engine, honest())
    both = [scan(f"X-{place}", "X", where, 20 + place) for place, city in enumerate(AWAY) for where in (HOME, city)]
    assert raised(engine, both) == []


def receipt(case: str, shipment: str) -> Movement:
    goods = Goods(unit=case, case=case, dealer="D", shipment=shipment, shipped_at=START, chain=("D",))
    return Movement(
        key=f"receipt {case}", event=f"receipt {case}", kind="receive", goods=goods, site_dealer="D",
        position=Position(source=Source.STORE, lat=30.6, lon=104.1, place="SHOP"), occurred_at=START, received_at=START,
    )  # fmt: skip


SHIPMENTS = st.sampled_from("XY")
CASES = st.sampled_from("abc")
OBSERVED = st.one_of(
    st.builds(scan, CASES, SHIPMENTS, st.sampled_from([HOME, *AWAY[:3]]), st.just(1.0)),
    st.builds(receipt, CASES, SHIPMENTS),
)


@given(st.lists(st.tuples(OBSERVED, st.booleans()), max_size=30))
def test_what_is_counted_of_a_shipment_is_what_its_cases_say_one_by_one(said: list[tuple[Observation, bool]]) -> None:
    engine = Engine(NETWORK)
    for each, withdrawn in said:
        engine.observe(Withdrawn(key=each.key, received_at=START) if withdrawn else each)
    sightings = engine.sightings
    for shipment in "XY":
        stands_for = [sightings.place_of("D", case) for case in sightings.shipments.get(shipment, ())]
        trace = sightings.traces[shipment, "D"]
        assert trace.home == stands_for.count(AT_HOME)
        assert trace.away == Counter(each for each in stands_for if each not in (None, AT_HOME))


@given(located=st.integers(1, 40), away=st.integers(0, 40), usual=st.floats(0.02, 0.7), worth=st.floats(20, 30))
def test_more_cities_speak_more_and_a_dealer_who_is_always_far_off_less(
    located: int, away: int, usual: float, worth: float
) -> None:
    away = min(away, located)
    nats = scattered_nats(away, located, usual, worth)
    if away < located and away >= usual * located:
        assert scattered_nats(away + 1, located, usual, worth) >= nats - 1e-9
    if away > located / 2:
        assert scattered_nats(away, located, min(0.8, usual * 1.3), worth) <= nats + 1e-9


@pytest.mark.parametrize(("usual", "worth"), [(0.2, 20.0), (0.4, 10.0)])
def test_the_ratio_is_an_e_value(usual: float, worth: float) -> None:
    """Its mean over honest shipments is one: ten times as many shipments need ln 10 more nats."""

    located = 12
    first, second = usual * worth, (1 - usual) * worth
    total = 0.0
    for away in range(located + 1):
        chance = (
            lgamma(located + 1) - lgamma(away + 1) - lgamma(located - away + 1)
            + lgamma(away + first) + lgamma(located - away + second) - lgamma(located + worth)
            - lgamma(first) - lgamma(second) + lgamma(worth)
        )  # fmt: skip
        total += exp(chance + scattered_nats(away, located, usual, worth))
    assert total == pytest.approx(1.0)
