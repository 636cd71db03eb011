"""The accompanying document as a PDF: Chinese from the standard CID font, its signed code as a QR code.

The same document always gives the same bytes, so a copy can be told from an altered one.
"""

import io
from collections.abc import Callable, Iterator
from typing import Any, Final

from reportlab.graphics import renderPDF
from reportlab.graphics.barcode.qr import QrCodeWidget
from reportlab.graphics.shapes import Drawing
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from trace_service.orders.document import Document

_FONT: Final = "STSong-Light"
_MARGIN: Final = 18 * mm
_CODE: Final = 44 * mm
_CODES_SHOWN: Final = 600
_STATES: Final = {
    "open": "已发货 / shipped",
    "loading": "装车中 / loading",
    "closed": "单货一致 / agrees",
    "difference": "有差异 / difference",
}


def render(document: Document) -> bytes:
    """Return the document on A4 pages."""
    pdfmetrics.registerFont(UnicodeCIDFont(_FONT))
    target = io.BytesIO()
    content = document.content
    frame = SimpleDocTemplate(
        target, pagesize=A4, leftMargin=_MARGIN, rightMargin=_MARGIN, topMargin=_MARGIN, bottomMargin=22 * mm,
        title=f"{content['order']}-{document.number}", author=content["brand"], invariant=1, lang="zh-CN",
    )  # fmt: skip
    foot = _foot(document)
    frame.build(list(_story(document)), onFirstPage=foot, onLaterPages=foot)
    return target.getvalue()


def _story(document: Document) -> Iterator[Flowable]:
    content = document.content
    yield Table(
        [[_head(document), _Qr(document.code)]], colWidths=[None, _CODE + 2 * mm],
        style=TableStyle([("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0)]),
    )  # fmt: skip
    yield Spacer(1, 6 * mm)
    yield _lines(content)
    yield Spacer(1, 5 * mm)
    totals = f"合计 Total:  {content['units']} 件包装 units,  {content['items']} 瓶/个 items"
    yield Paragraph(totals, _style(11))
    yield Spacer(1, 10 * mm)
    yield _signatures()
    yield Spacer(1, 6 * mm)
    yield Paragraph("装车单元 Units loaded", _style(10))
    shown = [code.rsplit("/", 1)[-1] for code in content["codes"][:_CODES_SHOWN]]
    more = len(content["codes"]) - len(shown)
    yield Paragraph("　".join(shown) + (f"　… +{more}" if more else ""), _style(7, 9.5))


def _head(document: Document) -> list[Flowable]:
    content = document.content
    pairs = [
        ("单号 Order", f"{_safe(content['order'])}  (v{content['version']})"),
        ("发货方 From", f"{_safe(content.get('brand_zh', ''))}  {_safe(content['site_zh'])}"),
        ("", f"{_safe(content.get('brand_en', ''))}  {_safe(content['site_en'])}"),
        ("收货方 To", f"{_safe(content['dealer_zh'])}  {_safe(content['dealer_en'])}  ({_safe(content['dealer'])})"),
        ("渠道 Channel", f"{_safe(content['channel'])}    交期 Due  {content['due'] or '—'}"),
        ("状态 State", _STATES.get(content["state"], content["state"])),
        ("制单 Issued", f"{document.issued_at:%Y-%m-%d %H:%M} UTC    第 {document.number} 版"),
    ]
    rows = [[Paragraph(name, _style(9)), Paragraph(value, _style(9))] for name, value in pairs]
    table = Table(rows, colWidths=[28 * mm, None], style=TableStyle([("LEFTPADDING", (0, 0), (-1, -1), 0),
        ("TOPPADDING", (0, 0), (-1, -1), 1), ("BOTTOMPADDING", (0, 0), (-1, -1), 1)]))  # fmt: skip
    return [
        Paragraph("随货同行单", _style(20, 26)),
        Paragraph("Delivery document", _style(10)),
        Spacer(1, 3 * mm),
        table,
    ]


def _lines(content: dict[str, Any]) -> Table:
    header = ["行", "商品 Product", "订 Ordered", "箱 Cases", "实发 Items", "批号 Lots"]
    rows: list[list[object]] = [[Paragraph(text, _style(8.5)) for text in header]]
    for line in content["lines"]:
        name = f"{_safe(line['name_zh'])}<br/>{_safe(line['name_en'])}<br/>{line['gtin']}"
        lots = "<br/>".join(f"{_safe(each['lot'])} × {each['items']}" for each in line["lots"]) or "—"
        figures = [str(line["ordered"]), str(line["cases"]), str(line["items"])]
        rows.append([str(line["line"] or "+"), Paragraph(name, _style(8.5)), *figures, Paragraph(lots, _style(8.5))])
    style = TableStyle(
        [
            ("FONT", (0, 0), (-1, -1), _FONT, 9),
            ("GRID", (0, 0), (-1, -1), 0.4, colors.HexColor("#8a97a1")),
            ("BACKGROUND", (0, 0), (-1, 0), colors.HexColor("#eef2f4")),
            ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
            ("ALIGN", (2, 1), (4, -1), "RIGHT"),
        ]
    )
    return Table(rows, colWidths=[9 * mm, None, 20 * mm, 18 * mm, 20 * mm, 42 * mm], style=style, repeatRows=1)


def _signatures() -> Table:
    names = ["发货人 Sender", "承运人 Carrier", "收货人 Receiver"]
    lines = [("LINEABOVE", (column, 0), (column, 0), 0.6, colors.black) for column in (0, 2, 4)]
    style = TableStyle([*lines, ("FONT", (0, 0), (-1, -1), _FONT, 9)])
    return Table([[names[0], "", names[1], "", names[2]]], colWidths=[48 * mm, 12 * mm] * 2 + [48 * mm], style=style)


def _foot(document: Document) -> Callable[[Canvas, Any], None]:
    parts = document.code.split("/")

    def draw(canvas: Canvas, frame: Any) -> None:  # noqa: ANN401  reportlab's template is untyped
        canvas.saveState()
        canvas.setFont(_FONT, 7)
        canvas.drawString(_MARGIN, 14 * mm, f"SHA-256 {parts[6]}")
        canvas.drawString(_MARGIN, 10.5 * mm, f"Ed25519 {document.key}  {parts[7]}")
        canvas.drawRightString(A4[0] - _MARGIN, 7 * mm, f"{document.content['order']}-{document.number} · {frame.page}")
        canvas.restoreState()

    return draw


class _Qr(Flowable):
    """The document's code, square, with its quiet zone."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._widget = QrCodeWidget(text, barLevel="M", barWidth=_CODE, barHeight=_CODE)
        self.width = self.height = _CODE

    def wrap(self, _width: float, _height: float) -> tuple[float, float]:
        """Return the size that it takes."""
        return _CODE, _CODE

    def draw(self) -> None:
        """Draw it on the page."""
        drawing = Drawing(_CODE, _CODE)
        drawing.add(self._widget)
        renderPDF.draw(drawing, self.canv, 0, 0)


def _style(size: float, leading: float = 0.0) -> ParagraphStyle:
    return ParagraphStyle(f"s{size}", fontName=_FONT, fontSize=size, leading=leading or size * 1.35, wordWrap="CJK")


def _safe(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
