"""What a plan can be refused for."""

from trace_service.web.errors import WebError


class TripRefusedError(WebError):
    """A plan that contradicts itself, or names a site or route that there is none of."""

    status = 422
    code = "TRIP_REFUSED"
