"""What a station works on, as worksheets tell it."""

from collections.abc import Iterable

from msgspec import Struct

from contracts import worksheet
from contracts.errors import CodeError
from contracts.messages import Activity


class Order(Struct, frozen=True):
    """The current activity, and the order and recipient that its scans name."""

    activity: Activity
    reference: str = ""
    to: str = ""


def next_order(texts: Iterable[str], idle: Order) -> Order | None:
    """Return the order that the commands in one picture set, None without a command; `CF/END` goes back to `idle`.

    Raises `CodeError` for a text that is no command, and for a picture that shows several different ones.
    """
    commands = {worksheet.parse(text) for text in texts}
    if len(commands) > 1:
        raise CodeError("several commands in one picture", advice="Show one command at a time.")
    for command in commands:
        if isinstance(command, worksheet.Begin):
            return Order(command.activity, command.reference, command.recipient)
        if isinstance(command, worksheet.End) or command is worksheet.Press.PAUSE:
            return idle
        raise CodeError("this station has no manifest, it only begins and ends orders")
    return None
