"""What can be wrong with an order; each error has the HTTP status under which the interface answers it."""

from trace_service.web.errors import WebError


class OrderInvalidError(WebError):
    """An order names a product, dealer or site that its brand does not have, or says the same thing twice."""

    status = 422
    code = "ORDER_INVALID"


class OrderUnknownError(WebError):
    """The brand has no order of that number."""

    status = 404
    code = "ORDER_UNKNOWN"


class OrderConflictError(WebError):
    """The same version was placed before with other content, or a newer one is in force."""

    status = 409
    code = "ORDER_VERSION"


class OrderStateError(WebError):
    """What was asked for is not possible any more: loading has begun, or the order is over."""

    status = 409
    code = "ORDER_STATE"
