"""What replenishment refuses, each with a stable code."""

from contracts.errors import CodefenceError


class DemandTableError(CodefenceError):
    """A table of demand cannot be used at all; a row that cannot be used is a flag instead."""

    code = "DEMAND_TABLE"


class NothingToPlanError(CodefenceError):
    """No product has enough history for what was asked."""

    code = "NOTHING_TO_PLAN"


class PromotionError(CodefenceError):
    """A promotion of something that the brand does not have there."""

    code = "PROMOTION_REFUSED"


class LinesError(CodefenceError):
    """Lines for a product or site that the brand does not have."""

    code = "LINES_REFUSED"
