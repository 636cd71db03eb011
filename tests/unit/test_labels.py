"""Every kind of label in every format is read back by the project's own decoder, with the text that it should hold."""

import io
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pypdfium2
import pytest
from PIL import Image, ImageFont

from contracts.gs1 import SEPARATOR, parse
from edge.decode import load_image, read_codes
from trace_service.labels.elements import bracketed, element_string
from trace_service.labels.faces import Face, face_for
from trace_service.labels.jobs import Numbers, run
from trace_service.labels.model import Kind, Label, LabelError
from trace_service.labels.pdf import SHEETS
from trace_service.labels.raster import Raster, png
from trace_service.labels.sources import Source
from trace_service.labels.symbols import modules
from trace_service.labels.template import Logo, Symbol, Template, Text, default_template, load_template
from trace_service.labels.writers import Design, Format

GTIN = "09506000134352"
SERIAL = "1A60SGFJS4SVJVTFXRQH"
SSCC = "095060000000000015"
LINK = f"HTTPS://ID.EXAMPLE.COM/01/{GTIN}/21/{SERIAL}"
ELEMENTS = f"(01){GTIN}(17)270301(21){SERIAL}(10)L_42-7"
CONSTANTS = {"name": "Soda 500 ml", "gtin": GTIN, "lot": "L_42-7", "expires": "2027-03-01"}
# Kind, data, and what a scanner says: text, AIM identifier, symbology.
SAMPLES = [
    (Kind.QR, LINK, (LINK, "]Q1", "QRCode")),
    (
        Kind.DATAMATRIX,
        ELEMENTS,
        (f"01{GTIN}1727030121{SERIAL}{SEPARATOR}10L_42-7", "]d2", "DataMatrix"),
    ),
    (Kind.DATAMATRIX, f"(00){SSCC}", (f"00{SSCC}", "]d2", "DataMatrix")),
    (Kind.QR, f"HTTPS://ID.EXAMPLE.COM/00/{SSCC}", (f"HTTPS://ID.EXAMPLE.COM/00/{SSCC}", "]Q1", "QRCode")),
    (Kind.GS1_128, f"(00){SSCC}", (f"00{SSCC}", "]C1", "Code128")),
    (Kind.GS1_128, "(01)19506000134359(10)L-7", ("011950600013435910L-7", "]C1", "Code128")),
    (Kind.GS1_128, "(01)19506000134359(10)A>7(21)9", (f"011950600013435910A>7{SEPARATOR}219", "]C1", "Code128")),
    (Kind.ITF14, "19506000134359", ("19506000134359", "]I0", "ITF")),
]
SIZES = "width_mm = 50\nheight_mm = 20\nsymbol = {x_mm=1, y_mm=1, module_mm=0.4}\n"
IDS = [f"{kind}-{data[:4]}" for kind, data, _ in SAMPLES]


def look(kind: Kind, dpi: int = 300) -> Template:
    # As shipped; wider only for the longest of the bar codes.
    plain = default_template(kind, dpi)
    return msgspec.structs.replace(plain, width_mm=190) if kind is Kind.GS1_128 else plain


def label(data: str) -> Label:
    return Label("one", data, {"serial": SERIAL, "data": data})


def said(picture: np.ndarray) -> list[tuple[str, str, str]]:
    return [(code.text, code.aim, code.symbology) for code in read_codes(np.ascontiguousarray(picture))]


def agrees(found: list[tuple[str, str, str]], expected: tuple[str, str, str]) -> bool:
    # What only zbar read comes without an AIM identifier; a bar code without one is read all the same.
    return len(found) == 1 and (found[0] == expected or (found[0][0], found[0][2]) == (expected[0], "ITF"))


@pytest.mark.parametrize("dpi", [203, 300, 600])
@pytest.mark.parametrize(("kind", "data", "expected"), SAMPLES, ids=IDS)
def test_a_png_is_read_back_at_every_resolution(
    kind: Kind, data: str, expected: tuple[str, str, str], dpi: int
) -> None:
    template = look(kind, dpi)
    content = png(Raster(kind, template, CONSTANTS).draw(label(data)), dpi)
    assert agrees(said(load_image(content)), expected)
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.mode == "1"
        assert picture.info["dpi"] == pytest.approx((dpi, dpi), abs=0.1)
        assert picture.width == pytest.approx(template.width_mm / 25.4 * dpi, abs=1)


@pytest.mark.parametrize(("kind", "data", "expected"), SAMPLES, ids=IDS)
def test_a_pdf_is_read_back_and_as_large_as_the_template_says(
    kind: Kind, data: str, expected: tuple[str, str, str], tmp_path: Path
) -> None:
    template = look(kind)
    made = write(Format.PDF, kind, [label(data)], tmp_path, sheet="label")
    with pypdfium2.PdfDocument(made) as document:
        assert len(document) == 1
        width, height = document[0].get_size()
        assert (width / 72 * 25.4, height / 72 * 25.4) == pytest.approx((template.width_mm, template.height_mm))
        assert agrees(said(rendered(document, 0)), expected)


@pytest.mark.parametrize(("kind", "data", "expected"), SAMPLES, ids=IDS)
def test_an_svg_is_read_back(kind: Kind, data: str, expected: tuple[str, str, str], tmp_path: Path) -> None:
    folder = write(Format.SVG, kind, [label(data)], tmp_path)
    content = (folder / "one.svg").read_text("utf-8")
    assert f'width="{look(kind).width_mm:g}mm"' in content
    assert agrees(said(drawn(content)), expected)


@pytest.mark.parametrize(("kind", "data", "expected"), SAMPLES, ids=IDS)
def test_what_zpl_orders_from_the_printer_is_what_a_scanner_will_read(
    kind: Kind, data: str, expected: tuple[str, str, str], tmp_path: Path
) -> None:
    content = write(Format.ZPL, kind, [label(data)], tmp_path).read_text("utf-8")
    _, commands = content.splitlines()
    assert commands.startswith("^XA")
    assert commands.endswith("^XZ")
    printed = Image.fromarray(printed_by(commands)).convert("L")
    assert agrees(said(np.array(printed)), expected)


def write(
    format_: Format,
    kind: Kind,
    labels: list[Label],
    folder: Path,
    *,
    sheet: str = "a4",
    template: Template | None = None,
) -> Path:
    class Fixed(Source):
        @property
        def identity(self) -> dict[str, str]:
            return {}

        def labels(self, first: int, count: int) -> Iterator[Label]:
            yield from labels[first : first + count]

    design = Design(kind, format_, template or look(kind), CONSTANTS, SHEETS[sheet])
    run(design, Fixed(), Numbers(0, len(labels)), folder / "out", size=10_000, progress=lambda _: None)
    (made,) = [path for path in (folder / "out").iterdir() if path.name != "job.json"]
    return made


def rendered(document: pypdfium2.PdfDocument, page: int) -> np.ndarray:
    return np.array(document[page].render(scale=300 / 72).to_pil().convert("L"))


def drawn(svg: str, dots_per_mm: int = 12) -> np.ndarray:
    """Draw the symbol of an SVG: rectangles `M x y h w v h h -w z` under one translation and scale."""
    width, height = (float(each) for each in re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)[0])
    paper = np.full((round(height * dots_per_mm), round(width * dots_per_mm)), 255, dtype=np.uint8)
    (found,) = re.findall(
        r'translate\(([\d.]+) ([\d.]+)\) scale\(([\d.]+)\)" shape-rendering="crispEdges" d="([^"]+)"', svg
    )
    left, top, scale = (float(each) for each in found[:3])
    for each in re.findall(r"M([\d.]+) ([\d.]+)h([\d.]+)v([\d.]+)h-[\d.]+z", found[3]):
        x, y, wide, tall = (float(value) * scale for value in each)
        rows = slice(round((top + y) * dots_per_mm), round((top + y + tall) * dots_per_mm))
        paper[rows, round((left + x) * dots_per_mm) : round((left + x + wide) * dots_per_mm)] = 0
    return paper


def printed_by(commands: str) -> np.ndarray:
    """Do what a printer does with the symbol's commands, as the ZPL II manual describes them."""
    (symbol,) = re.findall(r"(\^B(?:Q|X|C|2)N[^^]*(?:\^FH)?\^FD[^^]*)\^FS", commands)
    parameters, data = symbol.split("^FD")
    if parameters.startswith("^BQN,2,"):
        level, _, text = data[0], data[1], data[3:]
        assert data[1:3] == "A,"
        assert level == "M"
        return on_paper(Kind.QR, text, int(parameters.rsplit(",", 1)[1]))
    if parameters.startswith("^BXN"):
        _, size, quality, columns, rows, format_, escape = parameters.split(",")
        assert (quality, columns, rows, format_, escape) == ("200", "", "", "", "_")
        unescaped = re.sub("_(.)", lambda match: {"1": SEPARATOR, "_": "_"}[match[1]], data)
        assert unescaped.startswith(SEPARATOR)
        return on_paper(Kind.DATAMATRIX, bracketed(parse(unescaped[1:], "]d2").elements), int(size))
    if parameters.startswith("^B2N"):
        assert re.search(r"\^BY\d+,3\.0,\d+\^B2N", commands)
        assert commands.count("^GB") == 2
        return on_paper(Kind.ITF14, data, 3)
    assert parameters.startswith("^BCN,")
    assert parameters.endswith(",N,N,N")
    start, _, rest = data.partition(">6")
    assert re.fullmatch(r">;>8(\d\d)+", start)
    unescaped = start[4:] + re.sub(">(.)", lambda match: {"<": ">", "8": SEPARATOR}[match[1]], rest)
    return on_paper(Kind.GS1_128, bracketed(parse(unescaped, "]C1").elements), 3)


def on_paper(kind: Kind, data: str, size: int) -> np.ndarray:
    symbol = modules(kind, data)
    rows = symbol.repeat(100, axis=0) if kind.is_linear else symbol.repeat(size, axis=0)
    return np.pad(np.where(rows.repeat(size, axis=1), 0, 255).astype(np.uint8), 60, constant_values=255)


def test_zpl_escapes_its_own_characters_in_texts_and_stores_what_all_labels_share(tmp_path: Path) -> None:
    texts = (Text("{data}", 1, 18, 2), Text("Soda", 25, 5, 3))
    template = Template(90, 20, Symbol(2.6, 1, 0.42), text=texts)
    content = write(Format.ZPL, Kind.DATAMATRIX, [label(ELEMENTS)], tmp_path, template=template).read_text("utf-8")
    stored, commands = content.splitlines()
    assert "^FH_^FD(01)09506000134352(17)270301(21)1A60SGFJS4SVJVTFXRQH(10)L_5F42-7^FS" in commands
    name, size, width, dots = stored.removeprefix("~DG").split(",")
    assert f"^XG{name},1,1" in commands
    background = Raster(Kind.DATAMATRIX, template, CONSTANTS).background
    assert background.any()
    picture = np.unpackbits(np.frombuffer(bytes.fromhex(dots), dtype=np.uint8).reshape(-1, int(width)), axis=1)
    assert int(size) * 2 == len(dots)
    assert np.array_equal(picture[:, : background.shape[1]].astype(bool), background)


def test_element_strings_have_separators_where_they_are_due() -> None:
    assert element_string(ELEMENTS) == f"01{GTIN}1727030121{SERIAL}{SEPARATOR}10L_42-7"
    assert parse(element_string(ELEMENTS), "]d2").elements == parse(ELEMENTS).elements


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (Kind.DATAMATRIX, LINK),
        (Kind.GS1_128, f"(01){GTIN}(21)AB(c)"),
        (Kind.QR, "A" * 8000),
        (Kind.ITF14, "1950600013435X"),
    ],
)
def test_data_that_a_symbol_cannot_hold_are_refused(kind: Kind, data: str) -> None:
    with pytest.raises(LabelError):
        modules(kind, data)


def chinese() -> Template:
    return Template(
        50, 25, Symbol(2.6, 2.6, 0.42), text=(Text("{name}", 18.5, 6, 3.5), Text("批次 {lot} {serial}", 2, 23, 2.2))
    )


def test_chinese_is_drawn_and_the_code_beside_it_still_read(tmp_path: Path) -> None:
    try:
        face_for("清", 20, None)
    except LabelError as error:
        pytest.skip(error.message)
    constants = {**CONSTANTS, "name": "清源苏打水"}
    dots = Raster(Kind.QR, chinese(), constants).draw(label(LINK))
    without = Raster(Kind.QR, chinese(), {**constants, "name": ""}).draw(label(LINK))
    name = (dots & ~without)[20:90, 210:]
    assert name.sum() > 300
    # Five characters of equal width, each with ink: none fell out.
    columns = np.array_split(name[:, : round(5 * 3.5 / 25.4 * 300)], 5, axis=1)
    assert all(column.sum() > 40 for column in columns)
    assert said(load_image(png(dots, 300)))[0][0] == LINK
    made = write(Format.PDF, Kind.QR, [label(LINK)], tmp_path, sheet="label", template=chinese())
    with pypdfium2.PdfDocument(made) as document:
        text = document[0].get_textpage().get_text_range()
        assert f"批次 L_42-7 {SERIAL}" in text
        assert said(rendered(document, 0))[0][0] == LINK


def test_a_font_without_chinese_is_named_before_a_million_boxes_are_printed(tmp_path: Path) -> None:
    font = ImageFont.load_default(20)
    assert isinstance(font, ImageFont.FreeTypeFont)
    with pytest.raises(LabelError, match="no glyph for '清'"):
        Face(font, "plain").width("清")
    missing = Template(50, 25, Symbol(2.6, 2.6, 0.42), text=(Text("清", 20, 5, 3),), font=str(tmp_path / "none.ttf"))
    with pytest.raises(LabelError, match="cannot be read"):
        Raster(Kind.QR, missing, {})


def test_a_logo_is_printed_and_may_not_reach_into_the_quiet_zone(tmp_path: Path) -> None:
    path = tmp_path / "logo.png"
    Image.new("RGB", (40, 20), "black").save(path)
    logo = Logo(str(path), 30, 8, 10)
    dots = Raster(Kind.QR, Template(50, 20, Symbol(2.6, 2.6, 0.42), logo=logo), {}).draw(label(LINK))
    assert dots[95:153, 355:472].all()
    assert not dots[:, 480:].any()
    for place in (Logo(str(path), 14, 8, 10), Logo(str(path), 45, 8, 10)):
        with pytest.raises(LabelError, match=r"quiet zone|beyond the label"):
            Raster(Kind.QR, Template(50, 20, Symbol(2.6, 2.6, 0.42), logo=place), {}).draw(label(LINK))


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        (Template(15, 20, Symbol(2.6, 2.6, 0.42)), "does not fit"),
        (Template(50, 20, Symbol(0.5, 2.6, 0.42)), "does not fit"),
        (Template(50, 20, Symbol(2.6, 2.6, 0.42), text=(Text("Soda", 8, 5, 3),)), "quiet zone"),
        (Template(30, 20, Symbol(2.6, 2.6, 0.42), text=(Text("{serial}", 18, 5, 3),)), "wider than the label"),
    ],
)
def test_labels_that_could_not_be_read_are_refused(template: Template, reason: str) -> None:
    with pytest.raises(LabelError, match=reason):
        Raster(Kind.QR, template, {}).draw(label(LINK))


@pytest.mark.parametrize(
    ("content", "said_of_it"),
    [
        ("width_mm = 50\n", "height_mm"),
        ("width_mm = -1\nheight_mm = 20\nsymbol = {x_mm=1, y_mm=1, module_mm=0.4}\n", "width_mm"),
        (SIZES + "colour = 1\n", "colour"),
        (
            SIZES + '[[text]]\ntext = "{price}"\nx_mm = 1\ny_mm = 1\nsize_mm = 2\n',
            "{price} is no field",
        ),
        ("width_mm", "malformed|Expected|expected|Invalid"),
    ],
)
def test_a_wrong_template_is_refused_with_what_is_wrong(tmp_path: Path, content: str, said_of_it: str) -> None:
    path = tmp_path / "label.toml"
    path.write_text(content)
    with pytest.raises(LabelError, match=said_of_it):
        load_template(path)


def test_a_label_of_more_dots_than_a_machine_holds_is_refused() -> None:
    with pytest.raises(LabelError, match="too large"):
        Raster(Kind.QR, Template(500, 500, Symbol(10, 10, 1), dpi=2400), {})
