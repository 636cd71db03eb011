"""The page that `codefence replenish backtest --out` writes: a table and three plots, in both languages."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from trace_service.replenishment.trials.plots import COLOURS, Axis, Line, plot

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c2430; --paper: #fff; --soft: #e4e8ee }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ecf2; --paper: #14181f; --soft: #2b323d } }
body { font: 15px/1.5 system-ui, "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif; color: var(--ink);
  background: var(--paper); max-width: 78rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem; margin-bottom: 0 } h2 { font-size: 1.1rem; margin-top: 2rem }
figure { margin: 1rem 0; overflow-x: auto }
svg { width: 100%; min-width: 32rem; max-width: 60rem; height: auto; font: 12px system-ui, sans-serif }
svg text:not([fill]) { fill: var(--ink) } .grid { stroke: var(--soft) }
div.wide { overflow-x: auto } table { border-collapse: collapse; width: 100%; white-space: nowrap }
th, td { text-align: right; padding: .3rem .6rem; border-bottom: 1px solid var(--soft) }
th:first-child, td:first-child { text-align: left } th { font-weight: 600; vertical-align: bottom }
tr.own { font-weight: 700 }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .3rem 1rem } dd { margin: 0 }
"""
_OWN: Final = "codefence"
_COLUMNS: Final = (
    ("策略", "Policy", ("policy",)),
    ("满足率 95 % 所需天数", "Days for 95 %", ("cover_days", "95")),
    ("97 %", "97 %", ("cover_days", "97")),
    ("8 天库存的满足率", "Fill at 8 days", ("fill_at_8_days",)),
    ("预测误差，14 天", "WRMSSE, 14 days", ("wrmsse", "14")),
    ("28 天", "28 days", ("wrmsse", "28")),
    ("分位损失，4 天", "Pinball, 4 days", ("pinball", "4")),
    ("8 天", "8 days", ("pinball", "8")),
    ("损耗 %", "Waste %", ("waste_percent",)),
    ("成本 %", "Cost %", ("cost_percent",)),
)
_EXACT: Final = frozenset({"wrmsse", "pinball"})
_AIM: Final = "95"
_SHARES: Final = (
    ("cost_percent", "成本与满足率 Cost against fill rate", "成本占需求金额 cost, % of value demanded"),
    ("waste_percent", "损耗与满足率 Waste against fill rate", "损耗占需求 waste, % of demand"),
)
# Absurd settings of one policy must not flatten the curves of all.
_USUAL: Final = 0.85
_LEAST_FILL: Final = 80.0
_LONGEST_COVER: Final = 25.0


def page(report: Mapping[str, Any]) -> str:
    """Return the report of a backtest as one HTML page that needs nothing else."""
    policies = report["policies"]
    parts = [
        '<!doctype html><html lang="zh"><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
        f"<title>Codefence: {escape(report['file'])}</title><style>{_STYLE}</style>",
        "<h1>补货策略回测 Replenishment backtest</h1>",
        *(f"<p><strong>{escape(sentence)}</strong></p>" for sentence in _findings(policies)),
        *(f"<p>{escape(sentence)}</p>" for sentence in _facts(report)),
        _table(policies),
        *_figures(policies),
        _policies(policies),
    ]
    return "\n".join(parts)


def _beside(more: float, above: str, below: str, equal: str) -> str:
    """Return how much more or less it is in whole per cent, in the given words."""
    share = f"{abs(more):.0%}"
    return equal if share == "0%" else (above if more > 0 else below).format(share)


def _findings(policies: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what the product's own policy needs, and how much more or less stock each other one, in both languages."""
    cover = {each["policy"]: each["cover_days"][_AIM] for each in policies}
    own = cover.pop(_OWN, None)
    if own is None or not any(cover.values()):
        return []
    others = [(name, days / own - 1) for name, days in cover.items() if days]
    others.sort(key=lambda other: other[1])
    chinese = "，".join(f"{name} {_beside(more, '多 {}', '少 {}', '相同')}" for name, more in others)
    english = ", ".join(f"{name} {_beside(more, '{} more', '{} less', 'as much')}" for name, more in others)
    return [
        f"满足率 {_AIM} % 时，{_OWN} 需要 {own:.1f} 天的库存；相比之下，{chinese}。",
        f"For a fill rate of {_AIM} % {_OWN} needs {own:.1f} days of stock; {english}.",
    ]


def _facts(report: Mapping[str, Any]) -> list[str]:
    """Return what was played, and what was wrong in the table, in both languages."""
    flags = [f"{count:,} × {reason}" for reason, count in report["flags"].items()]
    span, lead, pack = f"{report['from']} – {report['to']}", _list(report["lead"]), _list(report["pack"])
    days, products, refresh = report["trading_days"], f"{report['evaluated']:,}", report["refresh"]
    chinese = (
        f"{report['file']}：{span}，{days} 个交易日，{products} 个商品；交货期 {lead} 天，每箱 {pack} 件，"
        f"每 {refresh} 天重新预测。数据标记：{'；'.join(flags) or '无'}。"
    )
    english = (
        f"{report['file']}: {span}, {days} trading days, {products} products; delivery in {lead} days, cases of "
        f"{pack}, forecast anew every {refresh} days. Flags in the data: {'; '.join(flags) or 'none'}."
    )
    return [chinese, english]


def _policies(policies: Sequence[Mapping[str, Any]]) -> str:
    rows = "".join(f"<dt>{escape(each['policy'])}</dt><dd>{escape(each['summary'])}</dd>" for each in policies)
    return f"<h2>策略说明 What the policies are</h2><dl>{rows}</dl>"


def _list(values: Sequence[int]) -> str:
    return ", ".join(map(str, values[:6])) + (" …" if len(values) > 6 else "")  # noqa: PLR2004  a line's worth


def _table(policies: Sequence[Mapping[str, Any]]) -> str:
    head = "".join(f"<th>{zh}{'' if zh == en else f'<br>{en}'}</th>" for zh, en, _ in _COLUMNS)
    rows = []
    for policy in policies:
        cells = "".join(f"<td>{escape(_cell(policy, path))}</td>" for *_, path in _COLUMNS)
        rows.append(f'<tr class="own">{cells}</tr>' if policy["policy"] == _OWN else f"<tr>{cells}</tr>")
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _cell(policy: Mapping[str, Any], path: tuple[str, ...]) -> str:
    value: Any = policy
    for key in path:
        value = value[key]
    if path == ("fill_at_8_days",) and value is not None:
        return f"{value:.1%}"
    return "–" if value is None else value if isinstance(value, str) else f"{value:.{3 if path[0] in _EXACT else 2}f}"


def _figures(policies: Sequence[Mapping[str, Any]]) -> list[str]:
    reached = [point["cover_days"] for policy in policies for point in policy["curve"] if point["fill"] >= 0.8]  # noqa: PLR2004  the axis begins there
    longest = min(_LONGEST_COVER, max(reached, default=_LONGEST_COVER))
    fill = Axis("满足率 fill rate", _LEAST_FILL, 100.0, " %")
    cover = Axis("库存天数 stock, days of mean demand", 0.0, longest)
    found = [_figure("库存与满足率 Fill rate against stock", _lines(policies, "cover_days", "fill"), (cover, fill))]
    for key, title, name in _SHARES:
        usual = sorted(point[key] for policy in policies for point in policy["curve"])
        most = usual[int(len(usual) * _USUAL)] * 1.5
        if most > 0:
            top = Axis(name, 0.0, most, " %")
            found.append(_figure(title, _lines(policies, "fill", key), (fill, top)))
    return found


def _figure(title: str, lines: Sequence[Line], axes: tuple[Axis, Axis]) -> str:
    return f"<h2>{escape(title)}</h2><figure>{plot(lines, *axes, title)}</figure>"


def _lines(policies: Sequence[Mapping[str, Any]], across: str, up: str) -> list[Line]:
    found = []
    for number, policy in enumerate(policies):
        points = sorted((_shown(point, across), _shown(point, up)) for point in policy["curve"])
        own = policy["policy"] == _OWN
        found.append(Line(policy["policy"], points, number % len(COLOURS), own))
    return found


def _shown(point: Mapping[str, float], key: str) -> float:
    return 100 * point[key] if key == "fill" else point[key]
