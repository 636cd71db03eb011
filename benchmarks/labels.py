"""Labels a second: engines that draw QR codes beside one another, then whole labels in each format, on one core."""

import io
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import qrcode
import segno
import zxingcpp
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from benchmarks.frame import DataMissingError, Figure, Outcome, Progress, Target
from contracts.tc20_bulk import BulkTc20
from trace_service.labels.faces import face_for
from trace_service.labels.model import Kind, Label, LabelError
from trace_service.labels.pdf import SHEETS
from trace_service.labels.raster import Raster, png
from trace_service.labels.sources import Items
from trace_service.labels.symbols import modules
from trace_service.labels.template import Symbol, Template, default_template
from trace_service.labels.writers import Design, Format, writer_of

_TARGETS: Final = {"png.qr_only_per_s": Target(">=", 3_000), "pdf.per_s": Target(">=", 1_000)}
_ROUNDS: Final = 5
_GTIN: Final = "09506000134352"
_FIXED_MASK: Final = 2
_VERSION: Final = 4
_CONSTANTS: Final = {"name": "清源苏打水 500 ml", "gtin": _GTIN, "lot": "L42", "expires": "2027-03-01"}
_LARGE: Final = ((Format.PDF, 5_000), (Format.PDF, 20_000), (Format.CSV, 1_000_000))
_PLAIN: Final = Template(18, 18, Symbol(2, 2, 0.42))


def run(progress: Progress) -> Outcome:
    """Measure each way in turn, five rounds, and return the best of each; needs a font with Chinese."""
    try:
        face_for(_CONSTANTS["name"], 20, None)
    except LabelError as error:
        raise DataMissingError(error.message, advice=error.advice) from error
    texts, figures = _labels(), dict[str, Figure]()
    with tempfile.TemporaryDirectory(prefix="codefence-bench-") as folder:
        ways = {**_engines(), **_formats(Path(folder))}
        for number in range(_ROUNDS):
            for name, (count, work) in ways.items():
                batch = list(islice(texts, count))
                started = time.perf_counter()
                work(batch)
                rate = round(count / (time.perf_counter() - started))
                figures[name] = max(rate, int(figures.get(name, 0)))
            progress(f"round {number + 1}: best so far {figures['png.qr_only_per_s']} QR pictures/s")
    ours = float(figures["engine.zxing_per_s"])
    for name in ("segno", "qrcode", "qrcode_fixed_mask"):
        figures[f"engine.zxing_times_{name}"] = round(ours / float(figures[f"engine.{name}_per_s"]), 1)
    figures["pdf.times_qrcode"] = round(float(figures["pdf.per_s"]) / float(figures["pdf.qrcode_per_s"]), 1)
    for each, count in _LARGE:
        progress(f"memory of {count:,} labels as {each}")
        with ProcessPoolExecutor(1, get_context("spawn")) as alone:
            figures[f"{each}.{count}_labels_peak_mb"] = alone.submit(_peak_mb, each, count).result()
    return Outcome(figures, _TARGETS)


Way = tuple[int, Callable[[list[Label]], object]]
"""How many labels a round, and what is done with them."""


def _engines() -> dict[str, Way]:
    return {
        "engine.zxing_per_s": (1000, lambda labels: [modules(Kind.QR, label.data) for label in labels]),
        "engine.zxing_svg_per_s": (500, lambda labels: [_zxing_svg(label) for label in labels]),
        "engine.segno_per_s": (60, lambda labels: [segno.make_qr(label.data, error="m").matrix for label in labels]),
        "engine.qrcode_per_s": (60, lambda labels: [_qrcode(label).get_matrix() for label in labels]),
        "engine.qrcode_fixed_mask_per_s": (200, lambda labels: [_masked(label).get_matrix() for label in labels]),
        "engine.zxing_datamatrix_per_s": (1000, lambda labels: [_datamatrix(label) for label in labels]),
    }


def _formats(folder: Path) -> dict[str, Way]:
    plain, full = Raster(Kind.QR, _PLAIN, {}), default_template(Kind.QR, 300)
    raster = Raster(Kind.QR, full, _CONSTANTS)
    ways: dict[str, Way] = {
        "png.qr_only_per_s": (1000, lambda labels: [png(plain.draw(label), _PLAIN.dpi) for label in labels]),
        "png.per_s": (500, lambda labels: [png(raster.draw(label), full.dpi) for label in labels]),
        "pdf.qrcode_per_s": (60, lambda labels: _sheet_of_pictures(folder / "pictures.pdf", labels)),
    }
    for each in (Format.SVG, Format.PDF, Format.ZPL, Format.CSV):
        write = writer_of(Design(Kind.QR, each, full, _CONSTANTS, SHEETS["a4"]))
        ways[f"{each}.per_s"] = (1000, _into_fresh_files(write, folder, each))
    return ways


def _peak_mb(format_: Format, count: int) -> int:
    """Return the most memory that a process of its own holds while it writes so many labels into one file."""
    write = writer_of(Design(Kind.QR, format_, default_template(Kind.QR, 300), _CONSTANTS, SHEETS["a4"]))
    with tempfile.TemporaryDirectory(prefix="codefence-bench-") as folder:
        write(Path(folder, "labels"), islice(_labels(), count))
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6)


def _into_fresh_files(
    write: Callable[[Path, list[Label]], int], folder: Path, format_: Format
) -> Callable[[list[Label]], int]:
    return lambda labels: write(folder / f"{format_}-{time.monotonic_ns()}", labels)


def _labels() -> Iterator[Label]:
    codec = BulkTc20(bytes(range(32)), "acme", 1)
    return Items(codec, "acme", _GTIN, Kind.QR, "id.example.com").labels(0, 10_000_000)


def _zxing_svg(label: Label) -> str:
    return zxingcpp.create_barcode(label.data, zxingcpp.BarcodeFormat.QRCode, ec_level="M").to_svg()


def _datamatrix(label: Label) -> object:
    return modules(Kind.DATAMATRIX, f"(01){_GTIN}(21){label.values['serial']}")


def _qrcode(label: Label) -> qrcode.QRCode:
    code = qrcode.QRCode(error_correction=qrcode.ERROR_CORRECT_M, border=4, box_size=5)
    code.add_data(label.data)
    code.make()
    return code


def _masked(label: Label) -> qrcode.QRCode:
    code = qrcode.QRCode(version=_VERSION, error_correction=qrcode.ERROR_CORRECT_M, border=4, mask_pattern=_FIXED_MASK)
    code.add_data(label.data, optimize=0)
    code.make(fit=False)
    return code


def _sheet_of_pictures(path: Path, labels: list[Label]) -> None:
    """Lay pictures of qrcode out with reportlab, 24 a page: what one would write at first."""
    canvas = Canvas(str(path))
    for number, label in enumerate(labels):
        picture = io.BytesIO()
        _qrcode(label).make_image().save(picture)
        row, column = divmod(number % 24, 4)
        canvas.drawImage(ImageReader(picture), 20 + column * 140, 20 + row * 130, 50, 50)
        canvas.drawString(80 + column * 140, 20 + row * 130, label.values["serial"])
        if number % 24 == 23:  # noqa: PLR2004  a full page
            canvas.showPage()
    canvas.save()
