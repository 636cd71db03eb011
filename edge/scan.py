"""Reading the codes of many picture files at once, in the order in which they were named."""

import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from contracts.errors import ImageError
from edge.code import Code
from edge.decode import load_image, read_codes
from edge.decode.images import SUFFIXES, read_bytes


class Scan(NamedTuple):
    """What one file gave: its codes, or the reason why it could not be read; `ms` is wall time."""

    file: str
    codes: tuple[Code, ...]
    error: ImageError | None
    ms: float


def expand(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield files as they are, and from folders every picture below them in the order of their names.

    A folder that cannot be opened is yielded itself, so that it is reported and not skipped.
    """
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        closed: list[OSError] = []
        for folder, subfolders, names in os.walk(path, onerror=closed.append):
            subfolders.sort()
            yield from (Path(folder, name) for name in sorted(names) if Path(name).suffix.lower() in SUFFIXES)
        yield from (Path(error.filename) for error in closed)


def scan_files(files: Iterable[Path]) -> Iterator[Scan]:
    """Yield one result a file, in the order given; the decoders release the GIL, so every core works."""
    with ThreadPoolExecutor(thread_name_prefix="scan") as pool:
        yield from pool.map(scan_file, files)


def scan_file(path: Path) -> Scan:
    """Read the codes of one file; a file that cannot be read is a result, not an exception."""
    started = time.perf_counter()
    codes: tuple[Code, ...] = ()
    failure = None
    try:
        codes = read_codes(load_image(read_bytes(path)))
    except ImageError as error:
        failure = error
    return Scan(_printable(path), codes, failure, round((time.perf_counter() - started) * 1e3, 2))


def _printable(path: Path) -> str:
    """Return the name as valid Unicode; bytes that are none become U+FFFD."""
    return os.fsencode(path).decode("utf-8", "replace")
