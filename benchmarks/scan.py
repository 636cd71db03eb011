"""Reading codes in real photos: the cascade beside zxing-cpp, pyzbar and OpenCV alone."""

import csv
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import zxingcpp

from benchmarks.frame import Figure, Outcome, Progress, Target, data_folder
from contracts import gs1
from contracts.errors import CodeError
from edge.decode import Code, Gray, load_image, read_codes
from edge.decode.readers import zbar_library

_TARGETS: Final = {
    "QRCode.cascade.read_percent": Target(">=", 93.0),
    "DataMatrix.cascade.read_percent": Target(">=", 97.0),
    "Code128.cascade.read_percent": Target(">=", 100.0),
    "ITF.cascade.read_percent": Target(">=", 100.0),
    "EAN13.cascade.read_percent": Target(">=", 70.0),
    "cascade.wrong_texts": Target("==", 0),
    "cascade.codes_in_negatives": Target("==", 0),
    "cascade.gs1_codes_in_negatives": Target("==", 0),
}
# One QR code stands inside another here; the index names the inner one only.
_NESTED: Final = frozenset({"qrcode-2/16.webp"})


class Photo(NamedTuple):
    """One photo and what it shows; `expected` is empty for photos of several codes or none."""

    name: str
    symbology: str
    kind: str
    expected: str
    image: Gray


def run(progress: Progress) -> Outcome:
    """Read every photo with every reader."""
    photos = load(data_folder("photos"))
    figures: dict[str, Figure] = {"photos": len(photos)}
    for name, reader in _readers().items():
        progress(f"{name}: {len(photos)} photos")
        figures |= _measure(name, reader, photos)
    figures |= _ratios(figures)
    figures |= _mistakes(photos)
    return Outcome(dict(sorted(figures.items())), _TARGETS)


def load(folder: Path) -> list[Photo]:
    """Return the photos of the index, decoded to grey levels."""
    with (folder / "index.csv").open(encoding="utf-8", newline="") as index:
        rows = list(csv.DictReader(index))
    return [
        Photo(
            row["file"],
            row["symbology"],
            row["kind"],
            _lines(row["expected_text"]),
            load_image((folder / row["file"]).read_bytes()),
        )
        for row in rows
    ]


def is_read(photo: Photo, texts: Iterable[str]) -> bool:
    """Whether the photo's code is among the texts; line ends count as equal, bytes are compared as bytes."""
    if photo.kind == "bytes":
        return photo.expected in {text.encode("latin-1", "replace").hex() for text in texts}
    return photo.expected in {_lines(text) for text in texts}


def wrong_texts(photo: Photo, codes: Iterable[Code]) -> list[str]:
    """Return what was read from a photo of one code and is not what it says."""
    if photo.kind not in {"text", "bytes"} or photo.name in _NESTED:
        return []
    return [code.text for code in codes if not is_read(photo, [code.text])]


def gs1_keys(codes: Iterable[Code]) -> list[str]:
    """Return the keys of those codes that are GS1 codes."""
    keys = []
    for code in codes:
        try:
            keys.append(gs1.parse(code.text, code.aim).key)
        except CodeError:
            continue
    return keys


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n")


def _measure(name: str, reader: Callable[[Gray], list[str]], photos: list[Photo]) -> dict[str, Figure]:
    hits: dict[str, list[bool]] = defaultdict(list)
    times: dict[str, list[float]] = defaultdict(list)
    for photo in photos:
        started = time.process_time()
        texts = reader(photo.image)
        spent = (time.process_time() - started) * 1e3
        times["all"].append(spent)
        if photo.kind in {"text", "bytes"}:
            times[photo.symbology].append(spent)
            hits[photo.symbology].append(is_read(photo, texts))
    rates = {f"{key}.{name}.read_percent": round(100 * statistics.fmean(found), 1) for key, found in hits.items()}
    medians = {f"{key}.{name}.median_cpu_ms": round(statistics.median(spent), 2) for key, spent in times.items()}
    return {**rates, **medians}


def _ratios(figures: dict[str, Figure]) -> dict[str, Figure]:
    ratios: dict[str, Figure] = {}
    for key, figure in figures.items():
        symbology, _, rest = key.partition(".")
        ours = figures.get(f"{symbology}.cascade.read_percent")
        if not rest.endswith("read_percent") or rest.startswith("cascade"):
            continue
        if isinstance(ours, float) and isinstance(figure, float) and figure:
            ratios[f"{symbology}.cascade_over_{rest.partition('.')[0]}"] = round(ours / figure, 2)
    return ratios


def _mistakes(photos: list[Photo]) -> dict[str, Figure]:
    wrong, negatives, keys = 0, 0, 0
    for photo in photos:
        codes = read_codes(photo.image)
        wrong += len(wrong_texts(photo, codes))
        if photo.kind == "negative":
            negatives += len(codes)
            keys += len(gs1_keys(codes))
    return {
        "cascade.wrong_texts": wrong,
        "cascade.codes_in_negatives": negatives,
        "cascade.gs1_codes_in_negatives": keys,
    }


def _cascade(image: Gray) -> list[str]:
    return [code.text for code in read_codes(image)]


def _zxing(image: Gray) -> list[str]:
    return [symbol.text for symbol in zxingcpp.read_barcodes(image, text_mode=zxingcpp.TextMode.Plain)]


def _opencv(image: Gray) -> list[str]:
    texts: list[str] = []
    for detector in (cv2.QRCodeDetector(), cv2.barcode.BarcodeDetector()):
        try:
            texts += detector.detectAndDecodeMulti(image)[1]
        except (cv2.error, UnicodeDecodeError, SystemError):
            continue  # its detectors raise on GS1 codes and on texts that are no UTF-8
    return texts


def _readers() -> dict[str, Callable[[Gray], list[str]]]:
    readers: dict[str, Callable[[Gray], list[str]]] = {"cascade": _cascade, "zxing": _zxing, "opencv": _opencv}
    pyzbar = zbar_library()
    if pyzbar is not None:
        readers["pyzbar"] = lambda image: [symbol.data.decode("utf-8", "replace") for symbol in pyzbar.decode(image)]
    return readers
