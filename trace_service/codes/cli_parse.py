"""`codefence codes parse`: identifiers in any of GS1's forms, a JSON object a line."""

import sys

import click
import msgspec

from contracts import gs1
from contracts.errors import CodeError


@click.command(epilog="\b\nExample:\n  codefence codes parse < scans.txt")
def parse() -> None:
    """Read one identifier a line from standard input and write one JSON object a line."""
    for line in sys.stdin.buffer:
        text = line.rstrip(b"\r\n").decode("utf-8", "replace")
        sys.stdout.buffer.write(msgspec.json.encode(_answer(text)) + b"\n")


def _answer(text: str) -> dict[str, object]:
    answer: dict[str, object] = {"input": text, "valid": False, "elements": [], "canonical": None, "errors": []}
    aim, rest = (text[:3], text[3:]) if text.startswith("]") else ("", text)
    try:
        found = gs1.parse(rest, aim)
    except CodeError as error:
        answer["errors"] = [{"code": error.code, "position": error.position, "message": error.message}]
    else:
        answer |= {"valid": True, "elements": found.elements, "canonical": found.uri}
    return answer
