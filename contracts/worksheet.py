"""Command codes: what a packer scans to tell a station which order comes next.

`CF/BEGIN/{activity}/{reference}/{recipient}` starts work on an order, `CF/END` ends it. Both fit QR's alphanumeric
mode in capitals, so names on a worksheet are compared without regard to case.
"""

import re
from typing import NamedTuple

from contracts.errors import CodeError
from contracts.messages import Activity

_BEGIN = re.compile(r"CF/BEGIN/(PACK|SHIP|RECEIVE|SELL|INSPECT)/([A-Z0-9_-]{1,64})/([A-Z0-9_-]{0,64})")
_END = "CF/END"


class Begin(NamedTuple):
    """Work starts on an order; `reference` and `recipient` (a dealer or store, or empty) are in capitals."""

    activity: Activity
    reference: str
    recipient: str


class End(NamedTuple):
    """Work on the order ends."""


def is_command(text: str) -> bool:
    """Tell whether a scanned text wants to be a command."""
    return text.startswith("CF/")


def parse(text: str) -> Begin | End:
    """Return the command in a scanned text, or raise `CodeError`."""
    if text == _END:
        return End()
    match = _BEGIN.fullmatch(text)
    if match is None:
        raise CodeError(f"{text[:80]!r} is no command of a station", advice="Print the worksheet again.")
    return Begin(Activity(match[1].lower()), match[2], match[3])


def begin(activity: Activity, reference: str, recipient: str = "") -> str:
    """Return the text to print for `Begin`."""
    text = f"CF/BEGIN/{activity.upper()}/{reference.upper()}/{recipient.upper()}"
    parse(text)
    return text


def end() -> str:
    """Return the text to print for `End`."""
    return _END
