"""What can be wrong with a draft."""

from collections.abc import Sequence

from contracts.errors import CodefenceError
from geofence.proposed.remarks import Remark


class DraftError(CodefenceError):
    """The root: a file or request that no draft can be made of."""

    code = "TERRITORY_DRAFT"


class DraftMissingError(DraftError):
    """No draft of that number in this brand."""

    code = "TERRITORY_DRAFT_MISSING"


class DraftDecidedError(DraftError):
    """The draft was published or dropped before."""

    code = "TERRITORY_DRAFT_DECIDED"


class DraftRefusedError(DraftError):
    """The report has errors, or concerns that nobody took responsibility for; `remarks` are those."""

    code = "TERRITORY_DRAFT_REFUSED"

    def __init__(self, message: str, remarks: Sequence[Remark], *, advice: str = "") -> None:
        super().__init__(message, advice=advice)
        self.remarks = tuple(remarks)
