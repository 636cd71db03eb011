"""What messages say: dealers by name and number, cities by name, in both languages."""

from typing import Any

import pytest

from trace_service.notify.texts import text_of
from trace_service.words import DEFAULT_ZONE, Language, Words, zone

CASE = {
    "id": 7, "dealer": "D0012", "dealer_name_zh": "安阳市经销商", "dealer_name_en": "Anyang Trading",
    "destinations": ["411400"], "probability": 0.9, "priority": "1200.0", "outcome": None, "of_codes": False,
}  # fmt: skip
SKIPPED = {
    "alert": 3, "belief": None, "names": {"D0012": ["安阳市经销商", "Anyang Trading"]},
    "changes": [{"code": "clear.level_skip", "figures": {"sold_to": "D0012", "silence_nats": 3.8}}],
}  # fmt: skip


def told(language: Language, topic: str, payload: dict[str, Any]) -> str:
    said = text_of(Words(language, zone(DEFAULT_ZONE)), topic, payload)
    return "\n".join([said.title, *said.lines])


@pytest.mark.parametrize(
    ("language", "title", "change"),
    [
        ("zh", "新工单：安阳市经销商（D0012），商丘市", "若安阳市经销商（D0012）"),
        ("en", "New case: Anyang Trading (D0012), Shangqiu", "Anyang Trading (D0012)"),
    ],
)
def test_a_case_and_what_would_clear_it_name_the_dealer_and_its_number(
    language: Language, title: str, change: str
) -> None:
    said = told(language, "case.opened", {"case": CASE, "explained": [SKIPPED]})
    assert said.startswith(title)
    assert change in said.partition("\n")[2]


def test_the_digest_names_dealers_of_cases_and_leads_and_nobody_where_codes_are_forged() -> None:
    counts = dict.fromkeys(("open", "live", "proposed", "overdue", "fresh", "closed"), 1)
    lead = {
        "id": 4, "kind": "drip", "dealer": "D0015", "dealer_name_zh": "太原市经销商", "dealer_name_en": "Taiyuan",
        "city": "140300", "strength": 0.8,
    }  # fmt: skip
    forged = {**CASE, "id": 8, "of_codes": True, "reason": "budget"}
    nobody = {**lead, "id": 5, "dealer": None, "dealer_name_zh": "", "dealer_name_en": ""}
    payload = {"counts": counts, "cases": [{**CASE, "reason": "budget"}, forged], "leads": [lead, nobody]}
    said = told("zh", "digest.daily", payload)
    for line in (
        "工单 7：安阳市经销商（D0012），商丘市",
        "工单 8：伪造或复制的码",
        "太原市经销商（D0015），阳泉市",
        "没有特定经销商",
    ):
        assert line in said
    assert "安阳市经销商（D0012）" not in said.split("工单 8")[1].split("\n")[0]
    english = told("en", "digest.daily", payload)
    for line in ("Case 7: Anyang Trading (D0012), Shangqiu", "Case 8: Forged or copied codes", "Taiyuan (D0015)"):
        assert line in english


def test_a_name_that_is_or_has_the_number_says_it_once() -> None:
    said = told("en", "case.opened", {"case": {**CASE, "dealer_name_en": "Dealer D0012"}})
    assert said.startswith("New case: Dealer D0012, Shangqiu")
