"""Runs a label job in parts, each a file or folder that is there as a whole or not at all: a job that was cut resumes.

Memory stays constant: labels are drawn and written one by one, and a PDF holds one part.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple, TextIO

import msgspec

from trace_service.labels.model import Label, LabelError
from trace_service.labels.sources import Source
from trace_service.labels.writers import Design, Format, text_writer, writer_of

_NOTE: Final = "job.json"


class Part(NamedTuple):
    """A range of numbers and what is made of it."""

    first: int
    size: int
    name: str


class Made(NamedTuple):
    """What a job did: labels written now, and parts that were there from an earlier run."""

    labels: int
    parts: int
    kept: int


class Numbers(NamedTuple):
    """Which labels of a source: so many from `first` on, or all there are."""

    first: int
    size: int | None


def run(  # noqa: PLR0913  what, of what, which, where, and how
    design: Design, source: Source, numbers: Numbers, out: Path, *, size: int, progress: Callable[[int], None]
) -> Made:
    """Write labels below the folder `out`, `size` numbers a part; parts that are there as a whole are kept.

    Raises `LabelError` where another job's labels lie there.
    """
    write = writer_of(design)
    _claim(out, design, source)
    labels = made = kept = 0
    for part in _parts(numbers, size, design.format):
        target = out / part.name
        if target.exists():
            kept += 1
            progress(part.size)
            continue
        fresh = out / f".{part.name}.part"
        _remove(fresh)
        with _disk_errors(out):
            written = write(fresh, _counted(source.labels(part.first, part.size), progress))
            if written == 0 and numbers.size is None:
                _remove(fresh)
                break
            fresh.replace(target)
        labels, made = labels + written, made + 1
    return Made(labels, made, kept)


def stream(  # noqa: PLR0913  what, of what, which, where, and how
    design: Design, source: Source, numbers: Numbers, to: TextIO, *, size: int, progress: Callable[[int], None]
) -> Made:
    """Write all labels of a text format into one stream, such as a printer's."""
    write = text_writer(design, to)
    labels = 0
    for part in _parts(numbers, size, design.format):
        written = write(_counted(source.labels(part.first, part.size), progress))
        labels += written
        if written == 0 and numbers.size is None:
            break
    return Made(labels, 0, 0)


def _parts(numbers: Numbers, size: int, format_: Format) -> Iterator[Part]:
    """Yield parts that begin at multiples of `size`, so that neighbouring ranges of counters share their borders."""
    suffix = "" if format_ in {Format.PNG, Format.SVG} else f".{format_}"
    stop = numbers.first + numbers.size if numbers.size is not None else None
    first = numbers.first
    while stop is None or first < stop:
        after = (first // size + 1) * size
        after = after if stop is None else min(after, stop)
        yield Part(first, after - first, f"{first:013}-{after - 1:013}{suffix}")
        first = after


def _counted(labels: Iterable[Label], progress: Callable[[int], None]) -> Iterator[Label]:
    for label in labels:
        yield label
        progress(1)


def _claim(out: Path, design: Design, source: Source) -> None:
    """Note in the folder whose labels it holds; raises where the note says otherwise."""
    look = hashlib.sha256(msgspec.json.encode((design.template, dict(design.constants), design.sheet), order="sorted"))
    if design.template.logo is not None:
        look.update(Path(design.template.logo.file).read_bytes())
    note = {"kind": design.kind, "format": design.format, "look": look.hexdigest(), **source.identity}
    content = msgspec.json.format(msgspec.json.encode(note), indent=1)
    with _disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        path = out / _NOTE
        if not path.exists():
            path.write_bytes(content)
        elif path.read_bytes() != content:
            raise LabelError(
                f"{out} holds the labels of another job or template", advice="Choose another folder with --out."
            )


@contextmanager
def _disk_errors(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LabelError(
            f"{out} cannot be written: {error.strerror}",
            advice="Check --out and its space; the same command goes on where this one stopped.",
        ) from error


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
