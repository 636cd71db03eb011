"""What a report says of proposed territories: coded remarks, each naming the feature, the dealers and the divisions."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from geofence.proposed.areas import NO_PATCH, Patch


class Severity(StrEnum):
    """An error refuses a draft, a concern must be accepted by whoever publishes it, a note is for information."""

    ERROR = "error"
    CONCERN = "concern"
    NOTE = "note"


class RemarkCode(StrEnum):
    """What was found; `words` of a remark say it in English, the interface has its own."""

    UNREADABLE = "unreadable"
    UNKNOWN_DEALER = "unknown_dealer"
    UNKNOWN_DIVISION = "unknown_division"
    AXES_SWAPPED = "axes_swapped"
    CONTRADICTION = "contradiction"
    TWICE = "twice"
    OVERLAP = "overlap"
    BEYOND_PARENT = "beyond_parent"
    NEWLY_BARE = "newly_bare"
    UNKNOWN_PRODUCT_LINE = "unknown_product_line"
    OFF_MAP = "off_map"
    GAP = "gap"
    NOTHING_AFTER = "nothing_after"
    REPLACES = "replaces"
    NO_CHANGE = "no_change"
    RETROACTIVE = "retroactive"
    NOWHERE = "nowhere"


_ERRORS: Final = frozenset({
    RemarkCode.UNREADABLE, RemarkCode.UNKNOWN_DEALER, RemarkCode.UNKNOWN_DIVISION, RemarkCode.AXES_SWAPPED,
    RemarkCode.CONTRADICTION, RemarkCode.TWICE,
})  # fmt: skip
_CONCERNS: Final = frozenset({RemarkCode.OVERLAP, RemarkCode.BEYOND_PARENT, RemarkCode.NEWLY_BARE})
CONCERNS: Final = tuple(sorted(each.value for each in _CONCERNS))
_WORDS: Final = {
    RemarkCode.UNREADABLE: "{detail}",
    RemarkCode.UNKNOWN_DEALER: "there is no dealer {dealer} at {starts}",
    RemarkCode.UNKNOWN_DIVISION: "the map has no division {detail}",
    RemarkCode.AXES_SWAPPED: "the polygon lies off the map, and on it with longitude and latitude swapped",
    RemarkCode.CONTRADICTION: "{dealer} is given something else by {other} for the same time: {detail}",
    RemarkCode.TWICE: "{dealer} is given the same by {other} for the same time",
    RemarkCode.OVERLAP: "{dealer} and {other} both have {count} divisions ({km2:,.1f} km²) to themselves",
    RemarkCode.BEYOND_PARENT: "{dealer} has {count} divisions ({km2:,.1f} km²) that {other} above it does not have",
    RemarkCode.NEWLY_BARE: "{count} divisions ({km2:,.1f} km²) of {other} belong to none of its dealers any more",
    RemarkCode.UNKNOWN_PRODUCT_LINE: "no product belongs to the line {detail}",
    RemarkCode.OFF_MAP: "{km2:,.1f} km² of the polygon lie off the map",
    RemarkCode.GAP: "{count} divisions ({km2:,.1f} km²) of {other} belong to none of its dealers",
    RemarkCode.NOTHING_AFTER: "nothing is agreed with {dealer} from {starts} on",
    RemarkCode.REPLACES: "replaces what was recorded for {dealer} from {starts} to {ends}",
    RemarkCode.NO_CHANGE: "says what holds for {dealer} already",
    RemarkCode.RETROACTIVE: "begins in the past: past scans are judged anew where they are asked for today",
    RemarkCode.NOWHERE: "{dealer} may sell nowhere",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """One finding about a proposal; `where` names the feature or row, `ends` None is open."""

    code: RemarkCode
    where: str
    dealer: str
    channel: str = ""
    product_line: str | None = None
    other: str = ""
    starts: datetime | None = None
    ends: datetime | None = None
    patch: Patch = NO_PATCH
    detail: str = ""

    @property
    def severity(self) -> Severity:
        """How much it weighs."""
        if self.code in _ERRORS:
            return Severity.ERROR
        return Severity.CONCERN if self.code in _CONCERNS else Severity.NOTE

    @property
    def adcodes(self) -> tuple[str, ...]:
        """The divisions concerned, whole ones first; empty codes stand for places in none."""
        return tuple(code for code in (*self.patch.adcodes, *self.patch.in_part) if code)

    @property
    def words(self) -> str:
        """The remark in English."""
        starts, ends = (each.isoformat(timespec="minutes") if each else "-" for each in (self.starts, self.ends))
        return _WORDS[self.code].format(
            dealer=self.dealer, other=self.other, detail=self.detail, count=len(self.adcodes), km2=self.patch.km2,
            starts=starts, ends=ends,
        )  # fmt: skip
