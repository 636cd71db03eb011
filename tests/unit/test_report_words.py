"""The HTML reports say everything in both languages: rows, methods, kinds, rules, remarks, policies and flags."""

import re
from importlib import import_module
from inspect import getsource
from zoneinfo import ZoneInfo

import pytest

from trace_service.backtest.naive import EVERY, ISOLATION, PROVINCE
from trace_service.backtest.report_words import group_words, kind_words, method_words, remark_words, rule_words
from trace_service.backtest.run import EVIDENCE
from trace_service.backtest.scoring import Score, Share
from trace_service.backtest.table import TYPES, cells
from trace_service.replenishment.trials.methods import METHODS
from trace_service.web.report_page import report_page
from trace_service.words import Words, catalogue

CHINESE = Words("zh", ZoneInfo("UTC"))
LATIN = re.compile(r"[A-Za-z]{3,}")


def source(name: str) -> str:
    return getsource(import_module(f"trace_service.{name}"))


def test_every_row_and_method_of_the_scores_has_chinese_words() -> None:
    groups = ["core", "core+", "all", "all+", *(f"{name}{mark}" for name in TYPES for mark in ("", "+", ", scanned"))]
    score = Score(recall={name: Share(1, 2) for name in groups}, by_scans={"0": Share(1, 2)})
    head, *rows = cells(dict.fromkeys((EVIDENCE, EVERY, PROVINCE, ISOLATION), score))
    said = [method_words(CHINESE, each) for each in head[1:]] + [group_words(CHINESE, row[0].strip()) for row in rows]
    assert len(said) > len(groups)
    assert [each for each in said if LATIN.search(each)] == []


@pytest.mark.parametrize("package", ["backtest.events", "backtest.feed", "detection.engine"])
def test_every_rule_has_words(package: str) -> None:
    rules = re.findall(r"""(?:_notice\(|notices\[)"(\w+)\"""", source(package))
    assert rules
    assert [rule for rule in rules if LATIN.search(rule_words(CHINESE, rule))] == []


def test_every_detector_has_words() -> None:
    names = ("lots", "offroute", "dwell", "collusion", "clone", "backflow", "forged", "flow", "withheld", "outflow")
    codes = {
        code
        for name in (*names, "rebind", "strip")
        for line in re.findall(r"detector=(.*?),", source(f"detection.detectors.{name}"))
        for code in re.findall(r'"(\w+)"', line)
    }
    assert {"level_skip", "withheld", "province"} <= codes
    assert [code for code in codes if LATIN.search(kind_words(CHINESE, code))] == []


def test_what_tables_contradict_is_said_in_chinese() -> None:
    wrongs = re.findall(r'yield "\S+", "([^"]+)"', source("backtest.contradictions"))
    assert len(wrongs) > 10
    for wrong in wrongs:
        said = remark_words(CHINESE, f"dealers.csv: 1,203 with {wrong}, the first 'D-7'")
        assert said.startswith("dealers.csv：1,203 行"), wrong
        assert said.endswith("，首个为 'D-7'")
        assert not LATIN.search(re.sub(r"\w+\.csv|'D-7'", "", said)), said
    later = re.search(r"with (an id that .+?)\"", source("backtest.world"))
    assert later
    assert (
        remark_words(CHINESE, f"shipments.csv: 2 with {later[1]}")
        == "shipments.csv：2 行与后面的行编号相同，以后者为准"
    )
    assert remark_words(CHINESE, "stores.csv: unknown column colour ignored") == "stores.csv：未知列 colour 已忽略"
    assert remark_words(Words("en", ZoneInfo("UTC")), "stores.csv: 1 with an unknown dealer, the first 'x'") == (
        "stores.csv: 1 with an unknown dealer, the first 'x'"
    )


def test_every_policy_and_flag_has_words() -> None:
    known = catalogue("zh")
    assert [name for name in METHODS if f"trial.policy.{name}" not in known] == []
    flags = re.findall(r'_flag\(line, [^,]+, "(\w+)"', source("replenishment.demand.fields"))
    flags += re.findall(r'Flag\(\w+, "\w+", "(\w+)"', source("replenishment.demand.table"))
    assert len(flags) > 10
    assert [name for name in flags if f"trial.flag.{name}" not in known] == []


def test_a_report_holds_both_languages_and_nothing_from_elsewhere() -> None:
    page = report_page("trial.title", lambda words: [f"<p>{words('trial.policies')}</p>"])
    assert '<main lang="zh"><h1>补货策略回测</h1><p>策略说明</p></main>' in page
    assert '<main lang="en"><h1>Backtest of replenishment</h1><p>What the policies are</p></main>' in page
    assert not re.search(r"http|src=|<script", page)
