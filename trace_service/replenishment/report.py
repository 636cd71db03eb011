"""The page that `codefence replenish backtest --out` writes: a table and three plots, in both languages."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from trace_service.replenishment.plots import COLOURS, Axis, Line, plot

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c2430; --paper: #fff; --soft: #e4e8ee; --dim: #5d6878 }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ecf2; --paper: #14181f; --soft: #2b323d; --dim: #9aa6b6 } }
body { font: 15px/1.5 system-ui, "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif; color: var(--ink);
  background: var(--paper); max-width: 78rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem; margin-bottom: 0 } h2 { font-size: 1.1rem; margin-top: 2rem }
p.dim, figcaption { color: var(--dim) } figure { margin: 1rem 0; overflow-x: auto }
svg { width: 100%; min-width: 32rem; max-width: 60rem; height: auto; font: 12px system-ui, sans-serif }
svg text:not([fill]) { fill: var(--ink) } .grid { stroke: var(--soft) }
div.wide { overflow-x: auto } table { border-collapse: collapse; width: 100%; white-space: nowrap }
th, td { text-align: right; padding: .3rem .6rem; border-bottom: 1px solid var(--soft) }
th:first-child, td:first-child { text-align: left } th { font-weight: 600 } tr.own { font-weight: 700 }
"""
_OWN: Final = "codefence"
_COLUMNS: Final = (
    ("策略 Policy", ("policy",)),
    ("95 % 所需天数 days for 95 %", ("cover_days", "95")),
    ("97 %", ("cover_days", "97")),
    ("8 天满足率 fill at 8 days", ("fill_at_8_days",)),
    ("WRMSSE 14", ("wrmsse", "14")),
    ("28", ("wrmsse", "28")),
    ("分位损失 pinball 4", ("pinball", "4")),
    ("8", ("pinball", "8")),
    ("损耗 waste %", ("waste_percent",)),
    ("成本 cost %", ("cost_percent",)),
)
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
    facts = (
        f"{report['file']}: {report['from']} – {report['to']}, {report['trading_days']} trading days 交易日, "
        f"{report['evaluated']:,} products 商品. Lead time 交货期 {_list(report['lead'])}, pack 箱规 "
        f"{_list(report['pack'])}, refreshed every 每 {report['refresh']} days 天更新."
    )
    flags = "; ".join(f"{count:,} × {reason}" for reason, count in report["flags"].items()) or "none 无"
    parts = [
        '<!doctype html><html lang="zh"><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
        f"<title>Codefence: {escape(report['file'])}</title><style>{_STYLE}</style>",
        f"<h1>补货策略回测 Replenishment backtest</h1><p>{escape(facts)}</p>",
        f'<p class="dim">数据标记 Flags in the data: {escape(flags)}</p>',
        _table(policies),
        *_figures(policies),
    ]
    return "\n".join(parts)


def _list(values: Sequence[int]) -> str:
    return ", ".join(map(str, values[:6])) + (" …" if len(values) > 6 else "")  # noqa: PLR2004  a line's worth


def _table(policies: Sequence[Mapping[str, Any]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name, _ in _COLUMNS)
    rows = []
    for policy in policies:
        cells = "".join(f"<td>{escape(_cell(policy, path))}</td>" for _, path in _COLUMNS)
        rows.append(f'<tr class="own">{cells}</tr>' if policy["policy"] == _OWN else f"<tr>{cells}</tr>")
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _cell(policy: Mapping[str, Any], path: tuple[str, ...]) -> str:
    value: Any = policy
    for key in path:
        value = value[key]
    if path == ("fill_at_8_days",) and value is not None:
        return f"{value:.1%}"
    return "–" if value is None else value if isinstance(value, str) else f"{value:.2f}"


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
