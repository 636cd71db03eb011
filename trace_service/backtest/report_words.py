"""What a report calls rows, methods, kinds, rules and remarks; what has no words is shown as it is."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Final

from trace_service.backtest.naive import EVERY, ISOLATION, PROVINCE
from trace_service.backtest.run import EVIDENCE
from trace_service.words import Words, catalogue

_METHODS: Final = {EVIDENCE: "evidence", EVERY: "every", PROVINCE: "province", ISOLATION: "isolation"}
_KINDS: Final = {"level_skip": "skip", "label_removal": "strip", "off_route": "offroute"}
_ROWS: Final = re.compile(r"(?P<file>\S+): (?P<rows>[\d,]+) with (?P<what>.+?)(?:, the first (?P<first>.+))?")
_IGNORED: Final = re.compile(r"(?P<file>\S+): unknown (?:column|key) (?P<name>.+) ignored")


def method_words(words: Words, name: str) -> str:
    """Return what a method is called."""
    return _known(words, "backtest.method.", _METHODS.get(name, name))


def kind_words(words: Words, code: str) -> str:
    """Return what an attack or a detector is called."""
    return _known(words, "kind.", _KINDS.get(code, code))


def rule_words(words: Words, rule: str) -> str:
    """Return what was done by a rule."""
    return _known(words, "backtest.rule.", rule)


def group_words(words: Words, label: str) -> str:
    """Return what a row of the table of scores is called; the marks of its groups stay."""
    if scanned := re.fullmatch(r"core, (\S+) scanned items", label):
        return words("backtest.scanned", items=scanned[1])
    recall = re.fullmatch(r"recall (\w+)(\+|, scanned|)", label)
    if recall is None:
        return _known(words, "backtest.row.", re.sub(r"\W+", "_", label))
    whole = recall[1] in {"core", "all"}
    group = words(f"backtest.group.{recall[1]}") if whole else kind_words(words, recall[1])
    if recall[2] == "+":
        return words("backtest.recall.some", group=group)
    return words("backtest.recall.codes" if recall[2] else "backtest.recall", group=group)


def remark_words(words: Words, remark: str) -> str:
    """Return what is said of a world's tables."""
    if ignored := _IGNORED.fullmatch(remark):
        return words("backtest.ignored", **ignored.groupdict())
    found = _ROWS.fullmatch(remark)
    key = found and _wrongs().get(found["what"])
    if not found or not key:
        return remark
    told = words("backtest.wrong", file=found["file"], rows=found["rows"], what=words(key))
    return told + (words("backtest.first", first=found["first"]) if found["first"] else "")


@cache
def _wrongs() -> Mapping[str, str]:
    return {text: key for key, text in catalogue("en").items() if key.startswith("backtest.wrong.")}


def _known(words: Words, prefix: str, code: str) -> str:
    return words(prefix + code) if words.has(prefix + code) else code
