"""What a station says about a code the moment it is read."""

from enum import StrEnum


class Verdict(StrEnum):
    """From good to bad; the worst of a picture decides what is shown."""

    OK = "OK"
    """Read, kept, and right as far as anybody at hand knows."""
    ORDER = "ORDER"
    """A worksheet's command was carried out."""
    PROVISIONAL = "PROVISIONAL"
    """Read and kept; whoever would know more is out of reach and judges later."""
    DUPLICATE = "DUPLICATE"
    """The same capture again, or a unit that this load holds already: nothing new was kept."""
    NO_PARENT = "NO_PARENT"
    """Packing, but the picture does not show exactly one case label: kept as seen, not as packed."""
    OVER_QUANTITY = "OVER_QUANTITY"
    """More than the order's lines ask for."""
    NOT_IN_ORDER = "NOT_IN_ORDER"
    """The order does not ask for this product."""
    WRONG_ITEM = "WRONG_ITEM"
    """A known thing of the wrong kind: no serial, an item where cases are due, a case out of a closed pallet."""
    UNKNOWN = "UNKNOWN"
    """No GS1 code, a broken one, or a unit that this site does not have; kept, so that the server can judge it."""
    ALREADY_SHIPPED = "ALREADY_SHIPPED"
    """It has left before, or another station of this site has loaded it for another order."""
    BLOCKED = "BLOCKED"
    """It must not move: recalled, stolen, held, or something inside it is."""
    NO_READ = "NO_READ"
    """A picture without any code."""
    DIFFERENCE = "DIFFERENCE"
    """The load cannot be closed: order and scans differ, and nobody has signed for it."""
    STOPPED = "STOPPED"
    """A supervisor has to release the station first: nothing was kept."""
    REFUSED = "REFUSED"
    """The outbox is full or the disk fails: nothing was kept, work has to wait."""

    @property
    def is_good(self) -> bool:
        """Whether the scanner beeps rather than buzzes."""
        return self in {Verdict.OK, Verdict.ORDER, Verdict.PROVISIONAL}

    @property
    def stops(self) -> bool:
        """Whether an enforcing station works on only after a supervisor's release."""
        return self in {
            Verdict.OVER_QUANTITY,
            Verdict.NOT_IN_ORDER,
            Verdict.WRONG_ITEM,
            Verdict.UNKNOWN,
            Verdict.ALREADY_SHIPPED,
            Verdict.BLOCKED,
        }


def worst(verdicts: list[Verdict]) -> Verdict:
    """Return the worst of the verdicts on one picture, NO_READ where there is none."""
    return max(verdicts, key=list(Verdict).index, default=Verdict.NO_READ)
