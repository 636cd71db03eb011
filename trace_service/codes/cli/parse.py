"""`codefence codes parse`: identifiers in any of GS1's forms, a JSON object a line."""

import sys
from io import BufferedReader
from typing import cast

import click
import msgspec

from contracts import gs1
from trace_service.codes.cli.lines import batches_of_lines


class _Problem(msgspec.Struct, frozen=True, gc=False):
    code: str
    position: int
    message: str


class _Answer(msgspec.Struct, gc=False):
    input: str
    valid: bool
    form: str | None
    elements: list[tuple[str, str]]
    canonical: str | None
    errors: list[_Problem]


@click.command(
    epilog="\b\nExample:\n  codefence codes parse < scans.txt\n  echo '(01)09506000134352' | codefence codes parse"
)
def parse() -> None:
    """Read one identifier a line from standard input and write one JSON object a line to standard output.

    Accepted are element strings in brackets, element strings that begin with FNC1 (^ or the character 0x1D), scan data
    with its AIM identifier in front, GS1 Digital Link URIs and EPC URNs. Exit code 0 whether or not lines are valid.
    """
    encode = msgspec.json.Encoder().encode_lines
    # A whole chunk is answered at once, and at once what is not a whole chunk: fast for files, prompt for a scanner.
    for lines in batches_of_lines(cast("BufferedReader", sys.stdin.buffer)):
        sys.stdout.buffer.write(encode([_answer(line) for line in lines]))
        sys.stdout.buffer.flush()


def _answer(line: bytes) -> _Answer:
    line = line.removesuffix(b"\r")
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
    return _Answer(text, valid=True, form=found.form, elements=pairs, canonical=gs1.uri(pairs), errors=[])


def _refused(text: str, problem: _Problem) -> _Answer:
    return _Answer(text, valid=False, form=gs1.form_of(text), elements=[], canonical=None, errors=[problem])
