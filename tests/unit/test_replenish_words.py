"""What proposals, stock and the backtest's page say in words."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from trace_service.replenishment.trials.report import page
from trace_service.web.models import Proposal
from trace_service.web.proposed import chance, cover, proposal_reasons
from trace_service.words import Language, Words, zone

ORDER: dict[str, Any] = {
    "stock": 9, "source": "shelf", "reorder": 12, "maximum": 48, "daily_demand": 3.0, "lead_time_days": 5.0,
    "p_stockout": 0.9, "p_stockout_after": 0.0, "own_history": 0.8,
}  # fmt: skip


def words(language: Language) -> Words:
    return Words(language, zone("UTC"))


def said(language: Language, code: str = "below_reorder", **parameters: object) -> list[str]:
    now, nothing = datetime.now(UTC), None
    proposal = Proposal(
        id=1, kind="order", to_site=nothing, to_site_name_zh=nothing, to_site_name_en=nothing, proposed=nothing,
        decision_code=nothing, decision_note="", p_without=nothing, p_with=nothing, cost=nothing, confidence=nothing,
        model="codefence-2", inputs={}, device=nothing, boot=nothing, seq=nothing, site="S", site_name_zh="店",
        site_name_en="Store", gtin="09506000134352", product_name_zh="酒", product_name_en="Wine", items_per_case=6,
        dealer=nothing, dealer_name_zh=nothing, dealer_name_en=nothing, quantity=36, need_by=date(2026, 9, 1),
        state="open", created_at=now, updated_at=now, decided_by=nothing, decided_at=nothing,
        reason={"code": code, "parameters": parameters},
    )  # fmt: skip
    return proposal_reasons(words(language), proposal)


@pytest.mark.parametrize(
    ("stock", "demand", "expected"),
    [
        (2, 3, "less than a day"), (3, 3, "about 1 day"), (7, 2, "about 3.5 days"), (70, 2.99, "about 23 days"),
        (60, 0.07, "more than a year"), (-1, 3, "less than a day"),
    ],
)  # fmt: skip
def test_how_long_stock_lasts_is_exact_where_days_count(stock: int, demand: float, expected: str) -> None:
    assert cover(words("en"), stock, demand) == expected


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, "under 1%"), (0.004, "under 1%"), (0.25, "25%"), (1, "over 99%")]
)
def test_no_probability_promises_anything(share: float, expected: str) -> None:
    assert chance(words("en"), share) == expected


def test_an_order_says_that_it_comes_too_late_for_the_first_days() -> None:
    assert any("about 2 days: a quicker delivery" in each for each in said("en", **ORDER))
    assert any("约有 2 天无货可卖" in each for each in said("zh", **ORDER))
    for enough in ({"stock": 15}, {"in_transit": 12}):
        assert not any("without goods" in each for each in said("en", **(ORDER | enough)))
    assert any("about 1 day: a quicker" in each for each in said("en", **(ORDER | {"stock": 12})))


def test_an_empty_shelf_is_not_said_to_last_for_a_time() -> None:
    sentences = said("en", **(ORDER | {"stock": 0}))
    assert "About 3 a day are expected to sell." in sentences
    assert not any("lasts" in each for each in sentences)


@pytest.mark.parametrize(
    ("name", "units", "zh", "en"),
    [
        ("national_day", 12.4, "因国庆假期（2026年10月1日起）", "about 12 items more than usual"),
        ("spring_festival", -7.0, "少卖约 7 件", "about 7 items fewer than usual"),
        ("周年庆", 1.0, "因周年庆", "about 1 item more than usual"),
    ],
)
def test_an_occasion_says_what_it_adds_or_takes_in_both_languages(name: str, units: float, zh: str, en: str) -> None:
    given = ORDER | {"occasion": name, "occasion_from": "2026-10-01", "occasion_units": units}
    assert any(zh in each for each in said("zh", **given))
    assert any(en in each for each in said("en", **given))
    assert not any("than usual" in each for each in said("en", **(given | {"occasion_units": 0.3})))


def test_an_order_for_a_reason_without_words_shows_its_code() -> None:
    assert said("en", code="by_moonlight") == ["Reason: by_moonlight."]


def policy(name: str, cover_days: float | None) -> dict[str, object]:
    curve = [{"level": 0.9, "fill": 0.9, "cover_days": 8.0, "waste_percent": 0.0, "cost_percent": 2.0}]
    return {
        "policy": name, "summary": f"what {name} is", "cover_days": {"95": cover_days, "97": None},
        "fill_at_8_days": None, "wrmsse": {"14": 0.6543, "28": None}, "pinball": {"4": None, "8": None},
        "waste_percent": None, "cost_percent": None, "curve": curve,
    }  # fmt: skip


def test_the_backtests_page_begins_with_what_came_out_in_both_languages() -> None:
    report = {
        "file": "<b>.csv", "from": "2026-01-01", "to": "2026-02-01", "trading_days": 28, "evaluated": 1200,
        "lead": [5], "pack": [6], "refresh": 6, "flags": {"gap": 2},
        "policies": [
            policy("ma48-fixed", 13.0), policy("codefence", 10.0), policy("known-mean", 5.0), policy("tsb", None),
        ],
    }  # fmt: skip
    text = page(report)
    assert "codefence needs 10 days of stock; known-mean 50% less, ma48-fixed 30% more." in text
    assert "codefence 需要 10 天的库存；相比之下，known-mean 少 50%，ma48-fixed 多 30%。" in text
    assert "TSB, shrunk negative binomial" in text
    assert "<td>0.654</td>" in text
    assert "&lt;b&gt;.csv" in text
    assert "<b>.csv" not in text


def test_leftovers_say_where_they_go_and_that_what_is_over_is_taken_back() -> None:
    given = {"stock": 40, "left": 21.6, "days": 9}
    (moved,) = said("zh", code="sent_on", **given, to_stock=2, freight=131.7)
    assert moved == "40 件将在 9 天后到期，预计约有 22 件在本店卖不完；对方店现有 2 件，还来得及卖。运费约 132 元。"
    over = said("en", code="near_expiry", **given, action="return", p_sold=0.0)
    assert over[1] == "They may no longer be sold: take them back."
