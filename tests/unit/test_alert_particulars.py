"""What an alert's page says in particular: figures in sentences that agree with them, journeys, distances, phones."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from trace_service.cases.explain import phones
from trace_service.console.timeline import timelines
from trace_service.detection.explaining.clearing import Change
from trace_service.detection.explaining.considering import considered
from trace_service.web.explained import changes, outside
from trace_service.web.inquiries import Journey, located
from trace_service.web.models import Alert, CustodyEvent, Evidence
from trace_service.web.particulars import particulars
from trace_service.web.places import Places
from trace_service.words import DEFAULT_ZONE, Words, zone

ZH, EN = Words("zh", zone(DEFAULT_ZONE)), Words("en", zone(DEFAULT_ZONE))
AT = datetime(2024, 8, 21, 9, tzinfo=UTC)
MS = int(AT.timestamp() * 1000)
NAMES = {"D0012": ("安阳市经销商", "Anyang Trading"), "D0015": ("太原市经销商", "Taiyuan Trading")}
PLACES = Places()


def alert(code: str, **parameters: object) -> Alert:
    row: dict[str, Any] = dict.fromkeys(("outcome", "decided_by", "decided_at", "nearest_name_zh", "nearest_name_en"))
    row |= dict.fromkeys(("first_seen", "last_seen"))
    return Alert(
        id=1, kind=code, dealer="D0012", dealer_name_zh="安阳市经销商", dealer_name_en="Anyang Trading", city="130600",
        raised_at=AT, updated_at=AT, state="open", cases=2, scans=2,
        reason={"code": code, "parameters": parameters}, **row,
    )  # fmt: skip


def scan(far: float | None = None, **other: object) -> Evidence:
    row: dict[str, Any] = dict.fromkeys(
        ("city", "p_inside", "lon", "lat", "accuracy_m", "shipment", "territory", "map_version")
    )
    row |= {"activity": "consumer", "by_address": False, "signed_distance_m": far, **other}
    return Evidence(
        device="d", boot=UUID(int=1), seq=1, unit="u", case_unit="c", occurred_at=AT, code="u", gtin="g",
        code_state=row.pop("code_state", "genuine"), place="outside", **row,
    )  # fmt: skip


def event(step: str, site: str, hours: int) -> CustodyEvent:
    return CustodyEvent(
        unit="c", biz_step=step, site=site, site_name_zh=site, site_name_en=site, dealer=None, dealer_name_zh=None,
        dealer_name_en=None, shipment=None, parent=None, occurred_at=AT + timedelta(hours=hours), device="d",
        boot=UUID(int=1), seq=hours,
    )  # fmt: skip


def test_a_lot_of_which_some_cases_were_read_is_not_told_as_never_read() -> None:
    figures = {"shipments": ["SH1"], "lot_cases": 12, "level_missing": 4, "silence_nats": 3.8, "sold_to": "D0012"}
    (said,) = particulars(EN, PLACES, alert("level_skip", **figures), NAMES)
    assert said == "Of the 12 cases of SH1, readers of Anyang Trading had 8; the 2 that turned up are not among them."
    codes = {each.code: each.figures for each in considered("level_skip", figures, None)}
    assert codes["level_partly"]["level_missing"] == 4
    assert codes["late_receipt"] == {"days": 12}, "it waits twelve days, not one"
    figures["level_missing"] = 12
    assert "had none" in particulars(EN, PLACES, alert("level_skip", **figures), NAMES)[0]
    assert "level_outage" in {each.code for each in considered("level_skip", figures, None)}


def test_a_level_that_another_dealers_receipt_skipped_is_a_question_of_papers() -> None:
    figures = {"cases": 5, "level_missing": 5, "grace_hours": 72, "sold_to": "D0012", "received_at": "D0015"}
    assert particulars(ZH, PLACES, alert("level_skip", **figures), NAMES) == []
    found = considered("level_skip", figures, None)
    assert [(each.code, each.figures) for each in found][:2] == [
        ("late_paper", {"grace_hours": 72}),
        ("level_outage", {"level_missing": 5, "cases": 5}),
    ]


def test_only_back_flow_waits_longer_for_the_paper_of_a_named_shipment() -> None:
    words = {
        code: [each.code for each in considered(code, {"grace_hours": 72}, None)] for code in ("backflow", "withheld")
    }
    assert "late_paper" in words["backflow"]
    assert words["withheld"][0] == "late_return"
    for speak, tenfold in ((ZH, "十倍"), (EN, "ten times")):
        assert tenfold in speak("considered.late_paper.counted", grace_hours=72)
        said = speak("considered.late_return.counted", grace_hours=72)
        assert "72" in said
        assert tenfold not in said


def test_a_re_binding_says_when_how_many_had_moved_on_and_who_approved() -> None:
    figures = {"moved_before": 9, "approvers": ["U-11"], "contributions": [{"case": "c", "first_at": MS, "nats": 1}]}
    said = "".join(particulars(ZH, PLACES, alert("rebind", **figures), NAMES))
    assert "2024年8月21日 17:00" in said
    assert "其中 9 箱已经流转出去" in said
    assert "批准人只有 U-11" in said
    sound = {**figures, "moved_before": 0, "approvers": ["U-1", "U-2"]}
    assert len(particulars(ZH, PLACES, alert("rebind", **sound), NAMES)) == 1


def test_recalled_copied_and_several_dealers_goods_say_their_own() -> None:
    recalled = {"state": "recalled", "batch": "B1", "since": MS, "latest": MS + 86_400_000}
    assert "Batch B1 was recalled on 21 Aug 2024" in particulars(EN, PLACES, alert("withheld", **recalled), NAMES)[0]
    trip = {"from": "110000", "to": "310000", "left": MS, "came": MS + 3_600_000, "km": 1070, "hours": 1.0}
    copied = {"items": 1, "days": 65.8, "cities": ["110000", "310000"], "devices": 5, "usual_second_phones": 0.00455}
    phones_said, travel = particulars(ZH, PLACES, alert("clone", **copied, travel=[trip]), NAMES)
    assert phones_said.startswith("5 部手机在 65.8 天内扫了它，出现在 2 个城市")
    assert "0.5%" in phones_said
    assert "北京市" in travel
    stops = alert("off_route", stops=2, detour=1.22)
    (said,) = particulars(EN, PLACES, stops, NAMES)
    assert "Places where they were seen: 2" in said
    assert "1.2 times" in said
    seen = {"at": MS + 86_400_000, "adcode": "360100", "km": 2367}
    planned = stops.model_copy(
        update={"reason": {"code": "off_route", "parameters": {**stops.parameters, "departed": MS, "way_km": 1241,
                "places": [seen, seen | {"adcode": None}]}}}
    )  # fmt: skip
    _, left, there, nowhere = particulars(EN, PLACES, planned, NAMES)
    assert left == "The shipment left on 21 Aug 2024, 17:00; from sender to receiver it is 1,241 km as the crow flies."
    assert there == "On 22 Aug 2024, 17:00 its goods were seen in Nanchang; by there the way is 2,367 km."
    assert "in a place without a name" in nowhere
    (several,) = particulars(EN, PLACES, alert("collusion", dealers={"D0012": 9.0, "D0015": 5.0}), NAMES)
    assert several == "Dealers concerned: Anyang Trading (D0012), Taiyuan Trading (D0015)."


@pytest.mark.parametrize("code", ["rebind", "level_skip", "withheld", "clone", "collusion", "bulk", "unheard"])
def test_figures_of_another_version_are_left_out(code: str) -> None:
    assert particulars(ZH, PLACES, alert(code, lot_cases="many", state="melted", moved_before=None), NAMES) == []


def test_distances_are_those_of_what_lies_outside_from_the_nearest_to_the_farthest() -> None:
    assert outside(EN, [scan(15_200), scan(20_100), scan(-900), scan(None)]) == "15–20 km"
    assert outside(EN, [scan(15_200), scan(15_300)]) == "15 km"
    assert outside(Words("zh", zone("UTC")), [scan(15_200), scan(20_100)]) == "15–20 公里"
    assert outside(EN, [scan(-900_000), scan(None)]) == "", "what is inside lies nowhere outside"


def test_a_journey_names_every_place_in_turn_and_what_is_missing() -> None:
    events = [event("shipping", "dc", -40), event("shipping", "dc", -39), event("receiving", "D1", -9)]
    events += [event("receiving", "D2", 20)]
    (line,) = timelines([Journey(case_unit="c", events=events, scans=[scan()])])
    assert [(each.name, each.first.site if each.first else None) for each in line.steps] == [
        ("packing", None), ("shipping", "dc"), ("receiving", "D1"), ("found", None), ("receiving", "D2"),
    ]  # fmt: skip
    (unread,) = timelines(
        [Journey(case_unit="c", events=[event("packing", "f", -9)], scans=[scan(activity="receive")])]
    )
    assert [each.name for each in unread.steps] == ["packing", "shipping", "receiving", "evidence"]


def test_a_code_that_nobody_issued_has_no_journey() -> None:
    assert timelines([Journey(case_unit="u", events=[], scans=[scan(code_state="unknown")])]) == []


def test_phones_are_told_apart_and_not_named_and_scans_without_a_verdict_have_a_city() -> None:
    seen = [scan(phone="b"), scan(phone="a"), scan(phone="b"), scan(phone="till", activity="sell"), scan()]
    assert phones(seen) == {"b": 1, "a": 2}
    assert "phone" not in seen[0].model_dump()
    beijing, nowhere = located(PLACES, [scan(lon=116.4, lat=39.9, by_address=True), scan()])
    assert (beijing.city, nowhere.city) == ("110000", None)


def test_when_all_of_several_have_to_be_explained_it_says_all() -> None:
    figures = {"cases": 4, "of": 4, "unraised": 3, "nats": 0.0, "exact": True}
    said = [wish.text for wish in changes(EN, [Change("issued", figures), Change("return_paper", figures | {"of": 9})])]
    assert said[0] == "If all codes (4) prove to be issued and active, it is taken back."
    assert said[1].startswith("Returns or transfers for 4 of the 9 cases take it back")
