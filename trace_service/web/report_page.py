"""The frame of reports that commands write: one HTML file in both languages, nothing from elsewhere, no script."""

from collections.abc import Callable, Sequence
from html import escape
from typing import Final

from trace_service.words import LANGUAGES, Words, zone

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c2430; --paper: #ffffff; --soft: #566273; --line: #d5dce4;
  --good: #1f7a4d; --bad: #c2410c; --mark: #1d4ed8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6ebf2; --paper: #12171e; --soft: #9aa7b6; --line: #2d3743;
  --good: #4ade80; --bad: #fb923c; --mark: #7aa2ff; } }
body { font: 15px/1.5 system-ui, "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif;
  color: var(--ink); background: var(--paper); margin: 1.5rem auto; max-width: 76rem; padding: 0 1rem; }
body > label { margin-right: 1rem; }
#zh:checked ~ main:lang(en), #en:checked ~ main:lang(zh) { display: none; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; white-space: nowrap; }
th, td { text-align: left; padding: .25rem .9rem .25rem 0; border-bottom: 1px solid var(--line); }
thead th { vertical-align: bottom; } th { font-weight: 600; } tbody th { font-weight: 400; color: var(--soft); }
.figures td, .figures thead th:not(:first-child) { text-align: right; } .figures thead th { white-space: normal; }
tr.own > * { font-weight: 700; color: var(--ink); }
.plots { display: flex; flex-wrap: wrap; gap: 2rem; }
figure { margin: 0; max-width: 20rem; } figure.broad { max-width: none; overflow-x: auto; }
figcaption { color: var(--soft); }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .3rem 1rem; } dd { margin: 0; }
svg { font-size: 12px; font-family: inherit; }
svg text:not([fill]) { fill: var(--soft); } .axis, .grid { stroke: var(--line); }
.mark { stroke: var(--mark); fill: var(--mark); } .good { fill: var(--good); } .bad { fill: var(--bad); }
.whisker { stroke: var(--soft); }
.broad svg { width: 100%; min-width: 32rem; max-width: 60rem; height: auto; }
@media (max-width: 40rem) { tbody th { white-space: normal; min-width: 8rem; } dl { display: block; }
  dd { margin: 0 0 .6rem; } }
@media print { body > input, body > label { display: none; } }
"""
_NAMES: Final = {"zh": "中文", "en": "English"}


def report_page(title: str, body: Callable[[Words], Sequence[str]]) -> str:
    """Return a page whose title has that key in the catalogue, and whose body is written once in each language."""
    readers = [Words(language, zone("UTC")) for language in LANGUAGES]
    switch = "".join(
        f'<input type="radio" name="language" id="{words.language}"{"" if number else " checked"}>'
        f'<label for="{words.language}" lang="{words.language}">{_NAMES[words.language]}</label>'
        for number, words in enumerate(readers)
    )
    mains = "".join(
        f'<main lang="{words.language}"><h1>{escape(words(title))}</h1>{"".join(body(words))}</main>'
        for words in readers
    )
    return (
        '<!doctype html><html lang="zh"><head><meta charset="utf-8">'
        f"<title>{escape(' · '.join(words(title) for words in readers))}</title>"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body>{switch}{mains}</body></html>\n"
    )


def report_table(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, own: str | None = None, figures: bool = False
) -> str:
    """Return a table; the row that begins with `own` stands out, `figures` stand to the right."""
    top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "".join(
        f'<tr class="own">{_cells(row)}</tr>' if row[0] == own else f"<tr>{_cells(row)}</tr>" for row in rows
    )
    mark = ' class="figures"' if figures else ""
    return (
        f'<div class="wide" tabindex="0"><table{mark}><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _cells(row: Sequence[str]) -> str:
    return f'<th scope="row">{escape(row[0])}</th>' + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])
