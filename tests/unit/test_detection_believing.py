"""Whatever comes, the engine stands; and what rests on a clock that cannot be accuses nobody."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_detection_shops import CHANNEL

from trace_service.detection.believing import believed
from trace_service.detection.changes import Alert, Raised
from trace_service.detection.engine import Engine
from trace_service.detection.network import Network
from trace_service.detection.observations import (
    Binding,
    CodeState,
    Goods,
    Movement,
    Observation,
    Position,
    Reviewed,
    Shipment,
    Sighting,
    Source,
    Withdrawn,
)
from trace_service.detection.settings import DAY_MS

NOW = 20_000 * DAY_MS
DATED_KINDS = {"recalled", "expired", "void", "offroute"}
keys = st.sampled_from([f"key {number}" for number in range(30)])
cases = st.sampled_from([None, *(f"case {number}" for number in range(12))])
dealers = st.sampled_from([None, "HQ", "D1", "D2", "nobody knows", ""])
places = st.sampled_from([None, "S1", "S2", "D1", "D2", "nowhere"])
shipments = st.sampled_from([None, "SH1", "SH2", "SH3", ""])
arrivals = st.integers(NOW, NOW + 200 * DAY_MS)
moments = st.one_of(arrivals, st.sampled_from([0, -1, 2**62, -(2**62), NOW + 900 * DAY_MS]))
degrees = st.one_of(st.none(), st.floats(-200, 200), st.sampled_from([float("nan"), float("inf"), 38.0, 114.5, 34.3]))
positions = st.builds(
    Position, source=st.sampled_from(Source), lat=degrees, lon=degrees, accuracy_m=st.sampled_from([None, 0.0, 20.0]),
    adcode=st.sampled_from([None, "130100", "610100", "000000", "x"]), place=places,
)  # fmt: skip
goods = st.builds(
    Goods, unit=st.sampled_from([*(f"item {number}" for number in range(20)), "", "ZZ-100001", "case 1"]), case=cases,
    product=st.sampled_from([None, "P", ""]), batch=st.sampled_from([None, "B1", "B2"]), dealer=dealers,
    shipment=shipments, shipped_at=st.one_of(st.none(), moments), state=st.sampled_from(CodeState),
    state_since=st.one_of(st.none(), moments), misread=st.booleans(),
)  # fmt: skip
common = {"key": keys, "event": keys, "goods": goods, "position": positions, "occurred_at": moments,
          "received_at": arrivals, "device": keys, "actor": keys}  # fmt: skip
sightings = st.builds(Sighting, kind=st.sampled_from(["scan", "sale", "inspect"]), **common)
movements = st.builds(
    Movement, kind=st.sampled_from(["ship", "receive", "transfer", "return"]), site_dealer=dealers, shipment=shipments,
    documented=st.booleans(), **common,
)  # fmt: skip
papers = st.builds(
    Shipment, key=st.sampled_from(["SH1", "SH2", "SH3"]), kind=st.sampled_from(["order", "transfer", "return"]),
    sender=st.sampled_from(["HQ", "D1", "?"]), receiver=st.sampled_from(["D1", "D2", "S1", "?"]), departed_at=moments,
    received_at=arrivals, items=st.integers(0, 99), cases=st.lists(cases.filter(bool), max_size=8).map(tuple),
)  # fmt: skip
bindings = st.builds(
    Binding, key=keys, event=keys, cases=st.lists(cases.filter(bool), max_size=4).map(tuple), units=st.just(()),
    from_dealer=dealers, to_dealer=dealers, approvers=st.sampled_from([(), ("A",), ("A", "B")]), occurred_at=moments,
    received_at=arrivals,
)  # fmt: skip
others = st.one_of(
    st.builds(Withdrawn, key=keys, received_at=arrivals),
    st.builds(Reviewed, key=keys, number=keys, confirmed=st.booleans(), received_at=arrivals),
)
streams = st.lists(st.one_of(sightings, movements, papers, bindings, others), max_size=60)


def play(stream: list[Observation]) -> list[Alert]:
    engine = Engine(Network(CHANNEL))
    changes = [change for each in stream for change in engine.observe(each)]
    changes += engine.advance(NOW + 230 * DAY_MS)
    return [change.alert for change in changes if isinstance(change, Raised)]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(streams)
def test_no_stream_breaks_the_engine_and_no_alert_rests_on_impossible_clocks_alone(stream: list[Observation]) -> None:
    dated = {
        each.event for each in stream
        if isinstance(each, Sighting | Movement) and NOW - 3 * 365 * DAY_MS <= each.occurred_at <= NOW + 201 * DAY_MS
    }  # fmt: skip
    for alert in play(stream):
        assert alert.kind not in DATED_KINDS or dated & set(alert.events)


@settings(max_examples=10, deadline=None)
@given(streams)
def test_the_same_stream_gives_the_same_alerts(stream: list[Observation]) -> None:
    assert [alert.number for alert in play(stream)] == [alert.number for alert in play(stream)]


def test_a_clock_that_cannot_be_is_replaced_by_the_arrival_and_said_to_be() -> None:
    scan = Sighting(
        key="k", event="e", kind="scan", goods=Goods(unit="u"), occurred_at=0, received_at=NOW,
        position=Position(source=Source.GPS, lat=float("nan"), lon=7.0),
    )  # fmt: skip
    found = believed(scan, NOW)
    assert isinstance(found, Sighting)
    assert (found.occurred_at, found.dated, found.position.source) == (NOW, False, Source.NONE)


def test_a_stream_whose_clock_leaps_by_decades_is_over_in_a_moment() -> None:
    scans = [
        Sighting(
            key=f"k{number}", event="e", kind="scan", goods=Goods(unit="u"), occurred_at=at, received_at=at,
            position=Position(source=Source.NONE),
        )
        for number, at in enumerate([0, *[NOW] * 25])
    ]  # fmt: skip
    engine = Engine(Network(CHANNEL))
    for each in scans:
        engine.observe(each)
    assert engine.clock == NOW
