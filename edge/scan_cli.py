"""`codefence scan`: the codes in pictures."""

import sys
import time
from pathlib import Path
from typing import Any, Final

import click
import msgspec
import structlog

from contracts.wording import counted
from edge.scan import Scan, expand, scan_files

_PROGRESS_SECONDS: Final = 2.0
_EXAMPLES: Final = """\b
Examples:
  codefence scan label.jpg
  codefence scan photos/ --json | jq -r '.codes[].text'

\b
Exit codes:
  0  every file was read, whether or not it shows a code
  1  a file is missing, damaged, too large or no picture; the others were read
  2  wrong usage
"""


@click.command(epilog=_EXAMPLES)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a file on standard output.")
def scan(files: tuple[Path, ...], *, as_json: bool) -> None:
    """Read the codes in picture FILES and, recursively, in folders.

    PNG, JPEG, WebP, BMP, TIFF and GIF. QR, Data Matrix, Code 128, EAN, UPC and ITF, with their GS1 forms.
    """
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    failed, last = 0, time.monotonic()
    for shown, result in enumerate(scan_files(expand(files)), start=1):
        click.echo(_json(result) if as_json else _table(result))
        failed += result.error is not None
        if time.monotonic() - last > _PROGRESS_SECONDS:
            click.echo(f"scan: {counted(shown, 'file')} read, {failed} failed", err=True)
            last = time.monotonic()
    if failed:
        sys.exit(1)


def _json(result: Scan) -> bytes:
    line: dict[str, Any] = {
        "file": result.file,
        "codes": [
            {"text": code.text, "symbology": code.symbology, "aim": code.aim, "corners": code.corners}
            for code in result.codes
        ],
        "ms": result.ms,
    }
    if result.error is not None:
        line["error"] = {"code": result.error.code, "message": result.error.message, "advice": result.error.advice}
    return msgspec.json.encode(line)


def _table(result: Scan) -> str:
    if result.error is not None:
        lines = [f"[{result.error.code}] {result.error.message}. {result.error.advice}"]
    else:
        lines = [f"{code.symbology:<11}  {_visible(code.text)}" for code in result.codes] or ["no code"]
    return "\n".join(f"{_visible(result.file)}  {line}" for line in lines)


def _visible(text: str) -> str:
    """Return the text with control characters spelt out: a code must not be able to steer the terminal."""
    return "".join("<GS>" if char == "\x1d" else char if char.isprintable() else f"<{ord(char):02X}>" for char in text)
