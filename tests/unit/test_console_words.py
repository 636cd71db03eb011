import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from string import Formatter

import pytest
from jinja2 import Environment

import trace_service.web
from trace_service.web.models import Alert
from trace_service.web.places import Places
from trace_service.web.reasons import alert_counts, alert_reasons
from trace_service.web.render import local_path
from trace_service.words import Language, Words, catalogue, zone

WEB = Path(trace_service.web.__file__).parent
TEMPLATES = sorted((WEB / "templates").glob("*.html"))
# Names that come from data: Chinese ones stand in Chinese text without a space.
NAMES = {
    "cover",
    "dealer",
    "dealers",
    "day",
    "city",
    "month",
    "product",
    "site",
    "name",
    "brand",
    "code",
    "source",
    "fault",
    "login",
    "time",
    "km",
    "outcome",
    "what",
    "others",
    "flags",
    "group",
    "first",
    "last",
    "sold_to",
    "from",
    "to",
}

# What is shown on its own beside a figure has the number only in its form.
ONLY_FORMS = {"count"}
COUNTED = (
    "alerts", "are", "cases", "changes", "checks", "cities", "codes", "counties", "days", "dealers", "errors", "events",
    "findings", "fixes", "have", "hours", "items", "lines", "minutes", "parts", "phones", "problems", "proposals",
    "scans", "steps", "stops", "times", "units", "visits", "were",
)  # fmt: skip


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_both_languages_say_the_same_things_with_the_same_parameters() -> None:
    chinese, english = catalogue("zh"), catalogue("en")
    assert set(english) == set(chinese)
    for key, text in english.items():
        plain = set(re.findall(r"\{(\w+)\}", chinese[key])) | (fields(text) & ONLY_FORMS)
        assert fields(text) == plain, key
        assert fields(chinese[key]) == set(re.findall(r"\{(\w+)\}", chinese[key])), key


def test_english_has_a_form_for_one_wherever_a_word_follows_a_number() -> None:
    for key in catalogue("en"):
        given = {name: "X" if name in NAMES | {"batch"} else 1 for name in fields(catalogue("en")[key])}
        said = Words("en", zone("UTC"))(key, **given)
        assert not re.search(rf"\b1(?: (?!of\b)[a-z]+)?? (?:{'|'.join(COUNTED)})\b", said), f"{key}: {said}"
        assert "|" not in said, key


def test_a_word_takes_the_form_of_its_number_as_it_is_shown() -> None:
    words = Words("en", zone("UTC"))
    assert words("proposals.items", count=1) == "1 item"
    assert words("proposals.items", count=0) == "0 items"
    assert words("proposals.items", count=1_001) == "1,001 items"
    assert words("cover.days", days=words.number(1.04, 1)) == "about 1 day"
    assert words("cover.days", days=words.number(1.1, 1)) == "about 1.1 days"
    assert Words("zh", zone("UTC"))("proposals.items", count=1) == "1 件"


def test_every_key_that_a_template_asks_for_exists() -> None:
    keys = catalogue("zh")
    for template in TEMPLATES:
        text = template.read_text("utf-8")
        for key in re.findall(r"""\bt\(\s*["']([a-zA-Z_.]+)["']\s*[,)]""", text):
            assert key in keys, f"{template.name}: {key}"
        for family in re.findall(r"""\bt\(\s*["']([a-z_.]+\.)["']\s*~""", text):
            assert any(key.startswith(family) for key in keys), f"{template.name}: {family}"


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_no_template_has_words_of_its_own(template: Path) -> None:
    tokens = Environment(autoescape=True).lex(template.read_text("utf-8"))
    markup = "".join(value if kind == "data" else " " for _, kind, value in tokens)
    visible = re.sub(r"<[^>]*>", " ", markup, flags=re.DOTALL)
    spoken = re.findall(r"""(?:title|aria-label|placeholder|alt)=["']([^"']*[A-Za-z\u4e00-\u9fff][^"']*)""", markup)
    assert re.findall(r"[A-Za-z\u4e00-\u9fff]{2,}", visible) + spoken == []


@pytest.mark.parametrize(("key", "text"), sorted(catalogue("zh").items()))
def test_chinese_keeps_its_distance_from_latin_and_its_full_width_punctuation(key: str, text: str) -> None:
    shown = re.sub(r"\{(\w+)\}", lambda match: "中" if match[1] in NAMES else "9", text)
    assert not re.search(r"[\u4e00-\u9fff][A-Za-z0-9]|[A-Za-z0-9][\u4e00-\u9fff]", shown), key
    assert not re.search(r"[\u4e00-\u9fff][,;:!?()]|[,;:!?()][\u4e00-\u9fff]", shown), key


@pytest.mark.parametrize(
    ("language", "seconds", "expected"),
    [
        ("zh", 20, "刚刚"),
        ("zh", 60, "1 分钟前"),
        ("en", 60, "1 minute ago"),
        ("en", 7200, "2 hours ago"),
        ("en", 3 * 86400, "3 days ago"),
    ],
)
def test_age_is_told_in_its_largest_unit(language: Language, seconds: int, expected: str) -> None:
    words = Words(language, zone("Asia/Shanghai"))
    assert words.ago(datetime.now(UTC) - timedelta(seconds=seconds + 1)) == expected


def test_times_follow_the_readers_zone_and_keep_utc_beside_it() -> None:
    def in_march(name: str) -> datetime:
        """Return a time of the year that it is in that zone: on the last of December that may be another one."""
        return datetime(datetime.now(zone(name)).year, 3, 1, 20, 5, 9, 120_000, tzinfo=UTC)

    moment = in_march("Asia/Shanghai")
    assert Words("zh", zone("Asia/Shanghai")).time(moment) == "3月2日 04:05"
    there = in_march("America/New_York")
    assert Words("en", zone("America/New_York")).time(there, exact=True) == "1 Mar, 15:05:09"
    assert Words("en", zone("Asia/Shanghai")).utc(moment) == f"{moment.year}-03-01 20:05:09.120 UTC"


def test_times_of_another_year_say_which() -> None:
    moment = datetime(2019, 12, 31, 20, 5, 9, tzinfo=UTC)
    assert Words("zh", zone("Asia/Shanghai")).time(moment) == "2020年1月1日 04:05"
    assert Words("en", zone("UTC")).time(moment, exact=True) == "31 Dec 2019, 20:05:09"


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../../etc/passwd", "a" * 5000, "\0"])
def test_a_zone_that_is_none_becomes_shanghai(name: str) -> None:
    assert zone(name).key == "Asia/Shanghai"


def test_numbers_never_show_a_minus_before_zero() -> None:
    words = Words("en", zone("UTC"))
    assert words.number(-0.04, 1) == "0"
    assert words.number(-140.25, 1) == "−140.2"
    assert words.km(-1_512_345) == "1,512 km"
    assert words.km(2_340) == "2.3 km"
    assert Words("zh", zone("UTC")).km(2_340) == "2.3 公里"


@pytest.mark.parametrize(
    "path", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "", "/a\nb", "\\/x"]
)
def test_a_redirect_never_leaves_the_console(path: str) -> None:
    assert local_path(path) == "/"


def test_a_redirect_within_the_console_is_kept() -> None:
    assert local_path("/alerts/7?x=1") == "/alerts/7?x=1"


def alert(reason: dict[str, object]) -> Alert:
    now = datetime.now(UTC)
    return Alert(
        id=1, kind="diversion", dealer="D-CHENGDU", dealer_name_zh="成都蜀清商贸", dealer_name_en="Chengdu Shuqing",
        city="330100", raised_at=now, updated_at=now, state="open", outcome=None, decided_by=None, decided_at=None,
        cases=12, scans=15, reason=reason, nearest_name_zh=None, nearest_name_en=None, first_seen=now, last_seen=now,
    )  # fmt: skip


def test_a_reason_becomes_sentences_in_both_languages() -> None:
    reason: dict[str, object] = {
        "code": "drip",
        "parameters": {"expected": 0.3123, "llr": 11.2, "seen": 40, "window_days": 28},
    }
    chinese = alert_reasons(Words("zh", zone("UTC")), Places(), alert(reason))
    english = alert_reasons(Words("en", zone("UTC")), Places(), alert(reason))
    assert chinese[0] == "发往成都蜀清商贸的 12 箱货在杭州市被扫到 15 次，该城市不在其授权区域内。"
    counts = alert_counts(Words("en", zone("UTC")), Places(), alert(reason))
    assert "about 0.31 cases" in counts[0]
    assert len(english) + len(counts) == 3


def test_a_reason_without_parameters_still_says_what_was_seen() -> None:
    sentences = alert_reasons(Words("en", zone("UTC")), Places(), alert({}))
    assert sentences == [
        "12 cases shipped to Chengdu Shuqing were scanned 15 times in Hangzhou, which is outside its territory."
    ]


def test_an_unknown_code_is_shown_and_not_hidden() -> None:
    assert "Reason: teleport." in alert_reasons(Words("en", zone("UTC")), Places(), alert({"code": "teleport"}))
