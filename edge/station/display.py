"""One line on the station's terminal: the last verdict, the order, and how much waits to be sent."""

from typing import Final, TextIO

from edge.station.order import Order
from edge.station.verdict import Verdict

_GREEN, _YELLOW, _RED = "42;30", "43;30", "41;97"
_LOOKS: Final = {
    Verdict.OK: ("✔", _GREEN),
    Verdict.ORDER: ("▶", _GREEN),
    Verdict.PROVISIONAL: ("◐", _YELLOW),
    Verdict.DUPLICATE: ("＝", _YELLOW),
}
_WRONG: Final = ("✘", _RED)


class Display:
    """Draws over the same line again and again; on anything but a terminal it stays silent, the log says the same."""

    def __init__(self, terminal: TextIO) -> None:
        self._terminal = terminal
        self._shown = terminal.isatty()

    def show(self, verdict: Verdict, text: str, order: Order, waiting: int) -> None:
        """Show a verdict with a colour and a shape of its own; `text` is what was read."""
        if not self._shown:
            return
        shape, colour = _LOOKS.get(verdict, _WRONG)
        work = " ".join(filter(None, (order.activity.upper(), order.reference, order.to)))
        readable = "".join(char if char.isprintable() else "·" for char in text)[:60]
        self._terminal.write(
            f"\r\x1b[K\x1b[{colour}m {shape} {verdict:<11} \x1b[0m {readable}  [{work}]  {waiting} to send"
        )
        self._terminal.flush()
