"""The page that `codefence replenish backtest --out` writes: a table and three plots, in both languages."""

from collections.abc import Mapping, Sequence
from datetime import date
from html import escape
from typing import Any, Final

from trace_service.replenishment.trials.plots import COLOURS, Axis, Line, plot
from trace_service.web.report_page import report_page, report_table
from trace_service.words import Words

_OWN: Final = "codefence"
_COLUMNS: Final = (
    ("cover_days", "95"), ("cover_days", "97"), ("fill_at_8_days",), ("wrmsse", "14"), ("wrmsse", "28"),
    ("pinball", "4"), ("pinball", "8"), ("waste_percent",), ("cost_percent",),
)  # fmt: skip
_EXACT: Final = frozenset({"wrmsse", "pinball"})
_AIM: Final = "95"
# Absurd settings of one policy must not flatten the curves of all.
_USUAL: Final = 0.85
_LEAST_FILL: Final = 80.0
_LONGEST_COVER: Final = 25.0


def page(report: Mapping[str, Any]) -> str:
    """Return the report of a backtest as one HTML page that needs nothing else."""
    return report_page("trial.title", lambda words: _body(words, report))


def _body(words: Words, report: Mapping[str, Any]) -> list[str]:
    policies = report["policies"]
    return [
        *(f"<p><strong>{escape(sentence)}</strong></p>" for sentence in _findings(words, policies)),
        *(f"<p>{escape(sentence)}</p>" for sentence in _facts(words, report)),
        _table(words, policies),
        f"<p>{words('trial.columns.text')}</p>",
        *_figures(words, policies),
        _policies(words, policies),
    ]


def _findings(words: Words, policies: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what the product's own policy needs, and how much more or less stock each other one."""
    cover = {each["policy"]: each["cover_days"][_AIM] for each in policies}
    own = cover.pop(_OWN, None)
    if own is None or not any(cover.values()):
        return []
    others = sorted(((name, days / own - 1) for name, days in cover.items() if days), key=lambda other: other[1])
    listed = words.pick("，", ", ").join(_beside(words, name, more) for name, more in others)
    return [words("trial.cover", aim=f"{_AIM}%", own=_OWN, days=words.number(own, 1), others=listed)]


def _beside(words: Words, name: str, more: float) -> str:
    """Return how much more or less it is in whole per cent."""
    share = words.percent(abs(more))
    key = "trial.same" if share == "0%" else "trial.more" if more > 0 else "trial.less"
    return words(key, name=name, share=share)


def _facts(words: Words, report: Mapping[str, Any]) -> list[str]:
    """Return what was played, and what was wrong in the table."""
    first, last = (words.day(date.fromisoformat(report[key])) for key in ("from", "to"))
    played = words(
        "trial.facts", file=report["file"], first=first, last=last, days=report["trading_days"],
        products=report["evaluated"], lead=_list(words, report["lead"]), pack=_list(words, report["pack"]),
        refresh=report["refresh"],
    )  # fmt: skip
    flags = [
        words("trial.flag", reason=words(key) if words.has(key := f"trial.flag.{reason}") else reason, count=count)
        for reason, count in report["flags"].items()
    ]
    told = words.pick("；", "; ").join(flags) or words("scan.none")
    return [played, words("trial.flags", flags=told)]


def _policies(words: Words, policies: Sequence[Mapping[str, Any]]) -> str:
    rows = "".join(
        f"<dt>{escape(each['policy'])}</dt><dd>{escape(words('trial.policy.' + each['policy']))}</dd>"
        for each in policies
    )
    return f"<h2>{words('trial.policies')}</h2><dl>{rows}</dl>"


def _list(words: Words, values: Sequence[int]) -> str:
    return words.pick("、", ", ").join(map(str, values[:6])) + (" …" if len(values) > 6 else "")  # noqa: PLR2004  a line's worth


def _table(words: Words, policies: Sequence[Mapping[str, Any]]) -> str:
    head = [words("trial.column." + "_".join(path)) for path in (("policy",), *_COLUMNS)]
    rows = [[policy["policy"], *(_cell(policy, path) for path in _COLUMNS)] for policy in policies]
    return report_table(head, rows, own=_OWN, figures=True)


def _cell(policy: Mapping[str, Any], path: tuple[str, ...]) -> str:
    value: Any = policy
    for key in path:
        value = value[key]
    if value is None:
        return "–"
    return f"{value:.1%}" if path == ("fill_at_8_days",) else f"{value:.{3 if path[0] in _EXACT else 2}f}"


def _figures(words: Words, policies: Sequence[Mapping[str, Any]]) -> list[str]:
    reached = [point["cover_days"] for policy in policies for point in policy["curve"] if point["fill"] >= 0.8]  # noqa: PLR2004  the axis begins there
    longest = min(_LONGEST_COVER, max(reached, default=_LONGEST_COVER))
    fill = Axis(words("trial.axis.fill"), _LEAST_FILL, 100.0, "%")
    cover = Axis(words("trial.axis.cover"), 0.0, longest)
    found = [_figure(words("trial.plot.cover"), _lines(policies, "cover_days", "fill"), (cover, fill))]
    for key in ("cost_percent", "waste_percent"):
        usual = sorted(point[key] for policy in policies for point in policy["curve"])
        most = usual[int(len(usual) * _USUAL)] * 1.5
        if most > 0:
            top = Axis(words(f"trial.axis.{key}"), 0.0, most, "%")
            found.append(_figure(words(f"trial.plot.{key}"), _lines(policies, "fill", key), (fill, top)))
    return found


def _figure(title: str, lines: Sequence[Line], axes: tuple[Axis, Axis]) -> str:
    return f'<h2>{escape(title)}</h2><figure class="broad" tabindex="0">{plot(lines, *axes, title)}</figure>'


def _lines(policies: Sequence[Mapping[str, Any]], across: str, up: str) -> list[Line]:
    found = []
    for number, policy in enumerate(policies):
        points = sorted((_shown(point, across), _shown(point, up)) for point in policy["curve"])
        own = policy["policy"] == _OWN
        found.append(Line(policy["policy"], points, number % len(COLOURS), own))
    return found


def _shown(point: Mapping[str, float], key: str) -> float:
    return 100 * point[key] if key == "fill" else point[key]
