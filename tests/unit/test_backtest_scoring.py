"""What makes an alert right, and what the table says of many."""

import pytest

from trace_service.backtest.noted import Noted, score_noted
from trace_service.backtest.scoring import Cell, Score, Share, honest_codes, score, score_cells
from trace_service.backtest.table import lines
from trace_service.backtest.truth import Attack, Destination, Finding, Truth
from trace_service.detection.changes import Claim, Lead
from trace_service.detection.engine import Engine
from trace_service.detection.network import Channel, Network, Place

DAY = 86_400_000
PLACES = (
    Place(adcode="440100", lat=23.13, lon=113.27, population=18e6, capital=True, city="440100"),
    Place(adcode="440600", lat=23.02, lon=113.12, population=9e6, city="440600"),
    Place(adcode="445200", lat=23.55, lon=116.37, population=5e6, city="445200"),
    Place(adcode="510100", lat=30.66, lon=104.07, population=20e6, capital=True, city="510100"),
)
NETWORK = Network(Channel(dealers=(), territories=(), places=PLACES))


def _attack(kind: str, **more: object) -> Attack:
    attack = Attack(
        id="A", type=kind, first_at="1970-01-11T00:00:00Z", dealer="D1", parties=["D1", "D2"],
        destinations=[Destination(adcode="445200", lat=23.55, lon=116.37)], cases=["c1", "c2"], items=["i1", "i2"],
        shipments=["s1"], leaks=["1970-01-11T00:00:00Z", "1970-01-21T00:00:00Z"], scanned_items=4,
    )  # fmt: skip
    for name, value in more.items():
        setattr(attack, name, value)
    return attack


def _right(attack: Attack, **finding: object) -> bool:
    raised = {"dealer": "D1", "raised_at": 15 * DAY} | finding
    return bool(Truth([attack], NETWORK).right(Finding(**raised)))  # type: ignore[arg-type]  # named by the test


@pytest.mark.parametrize(
    ("kind", "finding", "expected"),
    [
        ("drip", {"adcode": "445200"}, True),
        ("drip", {"adcode": "445200", "raised_at": 9 * DAY}, False),  # before anything was diverted
        ("drip", {"adcode": "440000"}, True),  # the whole province
        ("drip", {"adcode": "440100"}, True),  # its capital
        ("drip", {"adcode": "440600"}, False),  # another city, 330 km away
        ("drip", {"lat": 23.6, "lon": 116.6}, True),
        ("drip", {"adcode": "510100"}, False),
        ("drip", {"adcode": "445200", "dealer": "D2"}, False),
        ("collusion", {"adcode": "445200", "dealer": "D2"}, True),  # any party
        ("drip", {"adcode": "510100", "cases": frozenset({"c1", "x"})}, True),  # half of its cases
        ("drip", {"adcode": "510100", "cases": frozenset({"c1", "x", "y"})}, False),
        ("drip", {}, True),  # the dealer alone, and nothing else named
        ("drip", {"shipments": frozenset({"s1"})}, False),
        ("bulk", {"dealer": None, "shipments": frozenset({"s1", "s2"})}, True),
        ("strip", {"adcode": "445200"}, False),
        ("strip", {"shipments": frozenset({"s1"})}, True),
        ("clone", {"adcode": "445200"}, False),
        ("clone", {"dealer": None, "codes": frozenset({"i1"})}, True),
    ],
)
def test_an_alert_is_right_by_the_rules_of_the_format(kind: str, finding: dict[str, object], *, expected: bool) -> None:
    assert _right(_attack(kind), **finding) is expected


def test_scores_count_recall_leaks_folds_and_false_alerts() -> None:
    truth = Truth([_attack("drip"), _attack("bulk", scanned_items=["i1"], dealer="D9", destinations=[])], NETWORK)
    findings = [
        Finding(dealer="D1", raised_at=15 * DAY, adcode="445200", detector="drip"),
        Finding(dealer="D1", raised_at=20 * DAY, adcode="445200", detector="drip"),
        Finding(dealer="D7", raised_at=20 * DAY, adcode="510100", detector="bulk"),
    ]
    found = score(findings, truth, honest_scans=1_000_000, days=30)
    assert (found.alerts.hits, found.alerts.of, found.folded.hits, found.folded.of) == (2, 3, 1, 2)
    assert (found.recall["core"].hits, found.recall["core"].of, found.recall["core+"].of) == (1, 2, 1)
    assert found.leaked_found == 0.5
    assert found.leaked == 1.5  # all of the one that was missed
    assert found.false_per_million == 1
    assert found.by_scans["1-2"].of == 1


def test_attacks_by_codes_are_counted_with_and_without_those_that_nobody_scanned() -> None:
    attacks = [_attack("forged", scanned_items=0, items=["x"], cases=[]), _attack("forged", scanned_items=1, cases=[])]
    truth = Truth([*attacks, _attack("drip", scanned_items=1)], NETWORK)
    false = Finding(dealer=None, raised_at=15 * DAY, codes=frozenset(("unknown",)), detector="forged")
    right = Finding(dealer=None, raised_at=15 * DAY, codes=frozenset(("i1",)), detector="forged")
    found = score([right, false], truth, honest_scans=10, days=30)
    assert (found.recall["forged"].hits, found.recall["forged"].of) == (1, 2)
    assert (found.recall["forged, scanned"].hits, found.recall["forged, scanned"].of) == (1, 1)
    assert "drip, scanned" not in found.recall
    found.honest_codes = honest_codes({"e1": "a", "e2": "a", "e3": "b"}, truth)
    assert (found.false_of_codes("forged").hits, found.false_of_codes("forged").of) == (1, 2)


def test_leads_are_right_by_the_rules_of_alerts_and_counted_once_while_they_stand() -> None:
    engine = Engine(NETWORK)
    claim = Claim(
        key="strip/s1", detector="label_removal", kind="strip", dealer="D1", nats=4, threshold=30, shipments=("s1",)
    )
    noted = Noted(engine)
    for day in range(12, 16):
        engine.clock = day * DAY
        engine.leads = {} if day == 14 else {"strip/s1": Lead(claim=claim, noted_at=day * DAY)}
        noted.look()
    found = Score()
    score_noted(found, noted, Truth([_attack("strip"), _attack("strip", shipments=["s2"], dealer="D3")], NETWORK), 1)
    assert (found.leads["label_removal"].hits, found.leads["label_removal"].of) == (2, 2)
    assert (found.led["strip"].hits, found.led["strip"].of) == (1, 2)


def test_calibration_rewards_the_truth_and_punishes_confidence() -> None:
    truth = Truth([_attack("drip")], NETWORK)
    honest = [Cell(20 * DAY, "D5", "510100", 0.0)] * 9
    sharp, blunt = Score(), Score()
    score_cells(sharp, [*honest, Cell(20 * DAY, "D1", "445200", 0.9)], truth)
    score_cells(blunt, [Cell(each.week, each.dealer, each.adcode, 0.9) for each in honest], truth)
    assert sharp.brier_skill == pytest.approx(1 - 0.001 / 0.09)
    assert sharp.calibration_error == pytest.approx(0.01)
    assert blunt.calibration_error == pytest.approx(0.9)


def test_pooled_scores_add_up_and_the_table_names_every_method() -> None:
    total = Score()
    for _ in range(2):
        one = Score(honest_scans=10, days=5, recall={"core": Share(1, 2)})
        one.alerts = Share(3, 4)
        total.add(one)
    assert (total.alerts.hits, total.alerts.of, total.recall["core"].of, total.days) == (6, 8, 4, 10)
    low, high = total.alerts.interval or (0, 0)
    assert 0.40 < low < 0.75 < high < 0.94
    text = lines({"evidence": total, "other": Score()})
    assert text[0].split() == ["evidence", "other"]
    assert any(line.startswith("precision ") and ".75 (" in line for line in text)
