"""What a station says about a code the moment it is read."""

from enum import StrEnum


class Verdict(StrEnum):
    """From good to bad; the worst of a picture decides what is shown."""

    OK = "OK"
    """Read, kept, and on its way over a standing link."""
    ORDER = "ORDER"
    """A worksheet's command was carried out."""
    PROVISIONAL = "PROVISIONAL"
    """Read and kept; the server is out of reach and judges later."""
    DUPLICATE = "DUPLICATE"
    """The same capture again: nothing new was kept."""
    NO_PARENT = "NO_PARENT"
    """Packing, but the picture does not show exactly one case label: kept as seen, not as packed."""
    UNKNOWN = "UNKNOWN"
    """No GS1 code, or a broken one; a broken one is kept, so that the server can judge it."""
    NO_READ = "NO_READ"
    """A picture without any code."""
    REFUSED = "REFUSED"
    """The outbox is full or the disk fails: nothing was kept, work has to wait."""

    @property
    def is_good(self) -> bool:
        """Whether the scanner beeps rather than buzzes."""
        return self in {Verdict.OK, Verdict.ORDER, Verdict.PROVISIONAL}


def worst(verdicts: list[Verdict]) -> Verdict:
    """Return the worst of the verdicts on one picture, NO_READ where there is none."""
    return max(verdicts, key=list(Verdict).index, default=Verdict.NO_READ)
