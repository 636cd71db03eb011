"""Command codes: what a packer scans to tell a station what comes next.

`CF/BEGIN/{activity}/{reference}/{recipient}` starts work on an order, `CF/END` finishes it. The others:

    CF/PAUSE                    leave the order as it is and go on with it later
    CF/CASE/{n}, CF/PALLET/{n}  build cases or pallets that close at n; without /{n} the product says how many
    CF/NEXT                     close the package that is being built, and begin the next one
    CF/ABORT                    forget the package that is being built
    CF/UNDO                     take the last scan back
    CF/SCRAP                    the next label is waste
    CF/DAMAGED                  the next unit received is damaged
    CF/OPERATOR/{id}/{shift}    who works here from now on
    CF/DOC/…                    the code of an accompanying document (see contracts.documents)

All fit QR's alphanumeric mode in capitals, so names on a worksheet are compared without regard to case.
"""

import re
from enum import StrEnum
from typing import Final, NamedTuple

from contracts.errors import CodeError
from contracts.messages import Activity

_BEGIN = re.compile(r"CF/BEGIN/(PACK|SHIP|RECEIVE|SELL|INSPECT)/([A-Z0-9_-]{1,64})/([A-Z0-9_-]{0,64})")
_BUILD = re.compile(r"CF/(CASE|PALLET)(?:/([1-9]\d{0,4}))?")
_OPERATOR = re.compile(r"CF/OPERATOR/([A-Z0-9_-]{1,32})(?:/([A-Z0-9_-]{1,32}))?")
_END = "CF/END"
DOCUMENT: Final = "CF/DOC/"


class Begin(NamedTuple):
    """Work starts on an order; `reference` and `recipient` (a dealer or store, or empty) are in capitals."""

    activity: Activity
    reference: str
    recipient: str


class End(NamedTuple):
    """Work on the order ends."""


class Build(NamedTuple):
    """Packages are built: `kind` is case or pallet, `size` how many go in, 0 where the product says it."""

    kind: str
    size: int


class Operator(NamedTuple):
    """Who works at the station, and in which shift."""

    id: str
    shift: str


class Press(StrEnum):
    """Commands that are one word: the buttons of a station without a screen."""

    PAUSE = "CF/PAUSE"
    NEXT = "CF/NEXT"
    ABORT = "CF/ABORT"
    UNDO = "CF/UNDO"
    SCRAP = "CF/SCRAP"
    DAMAGED = "CF/DAMAGED"


Command = Begin | End | Build | Operator | Press


def is_command(text: str) -> bool:
    """Tell whether a scanned text wants to be a command."""
    return text.startswith("CF/") and not text.startswith(DOCUMENT)


def parse(text: str) -> Command:
    """Return the command in a scanned text, or raise `CodeError`."""
    if text == _END:
        return End()
    if text in set(Press):
        return Press(text)
    if match := _BEGIN.fullmatch(text):
        return Begin(Activity(match[1].lower()), match[2], match[3])
    if match := _BUILD.fullmatch(text):
        return Build(match[1].lower(), int(match[2] or 0))
    if match := _OPERATOR.fullmatch(text):
        return Operator(match[1], match[2] or "")
    raise CodeError(f"{text[:80]!r} is no command of a station", advice="Print the worksheet again.")


def begin(activity: Activity, reference: str, recipient: str = "") -> str:
    """Return the text to print for `Begin`."""
    text = f"CF/BEGIN/{activity.upper()}/{reference.upper()}/{recipient.upper()}"
    parse(text)
    return text


def end() -> str:
    """Return the text to print for `End`."""
    return _END
