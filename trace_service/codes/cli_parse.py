"""`codefence codes parse`: identifiers in any of GS1's forms, a JSON object a line."""

import sys
from typing import Final

import click
import msgspec

from contracts import gs1

_FLUSH_EVERY: Final = 1000
_REPLACEMENT: Final = "\ufffd"
_LONGEST_LINE: Final = 65_536


class _Problem(msgspec.Struct, frozen=True):
    code: str
    position: int
    message: str


class _Answer(msgspec.Struct):
    input: str
    valid: bool
    form: str | None
    elements: list[tuple[str, str]]
    canonical: str | None
    errors: list[_Problem]


@click.command(epilog="\b\nExample:\n  codefence codes parse < scans.txt\n  echo '(01)09506000134352' | codefence codes parse")
def parse() -> None:
    """Read one identifier a line from standard input and write one JSON object a line to standard output.

    Accepted are element strings in brackets, element strings that begin with FNC1 (^ or the character 0x1D), scan data
    with its AIM identifier in front, GS1 Digital Link URIs and EPC URNs. Exit code 0 whether or not lines are valid.
    """
    encoder = msgspec.json.Encoder()
    write, flush = sys.stdout.buffer.write, sys.stdout.buffer.flush
    live = sys.stdin.isatty()
    lines = iter(lambda: sys.stdin.buffer.readline(_LONGEST_LINE), b"")
    for number, line in enumerate(lines, 1):
        write(encoder.encode(_answer(line.removesuffix(b"\n").removesuffix(b"\r"))) + b"\n")
        if live or number % _FLUSH_EVERY == 0:
            flush()


def _answer(line: bytes) -> _Answer:
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        # What cannot be read must not be guessed: no label holds it.
        text = line.decode(errors="replace")
        start = len(line[: error.start].decode())
        return _refused(text, _Problem("UNDECODABLE", start, "this is no UTF-8"))
    try:
        found = gs1.read(text)
    except gs1.Gs1Error as error:
        return _refused(text, _Problem(error.reason, error.position, error.message))
    pairs = found.pairs
    return _Answer(text, True, found.form, pairs, gs1.uri(pairs), [])


def _refused(text: str, problem: _Problem) -> _Answer:
    return _Answer(text, False, gs1.form_of(text), [], None, [problem])
