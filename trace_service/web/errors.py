"""What can be wrong with a request; each error has an HTTP status and the words for it are in the catalogues."""

from typing import ClassVar

from contracts.errors import CodefenceError


class WebError(CodefenceError):
    """The root of everything a request can be refused for."""

    status: ClassVar[int] = 400
    code = "BAD_REQUEST"

    def __init__(self, message: str, *, advice: str = "", retry_after: int | None = None) -> None:
        super().__init__(message, advice=advice)
        self.retry_after = retry_after


class NotSignedInError(WebError):
    """No session, an expired one, or a wrong login or password."""

    status = 401
    code = "NOT_SIGNED_IN"


class ForgedRequestError(WebError):
    """A changing request that did not come from a page of this console."""

    status = 403
    code = "FORGED_REQUEST"


class ScopeMissingError(WebError):
    """A partner's token that is valid for other things."""

    status = 403
    code = "SCOPE_MISSING"


class RoleMissingError(WebError):
    """The account may look at this and not do it."""

    status = 403
    code = "ROLE_MISSING"


class NotFoundError(WebError):
    """Nothing of that name, or nothing that this session's brand may see: the two look alike on purpose."""

    status = 404
    code = "NOT_FOUND"


class ProposalChangedError(WebError):
    """What was proposed is another quantity by now than the one that was decided about."""

    status = 409
    code = "PROPOSAL_CHANGED"


class StateConflictError(WebError):
    """The thing was already decided by someone else."""

    status = 409
    code = "STATE_CONFLICT"


class BodyTooLargeError(WebError):
    """More bytes than any request to this address needs."""

    status = 413
    code = "BODY_TOO_LARGE"


class InvalidParameterError(WebError):
    """A parameter is missing or malformed."""

    status = 422
    code = "INVALID_PARAMETER"


class TooManyAttemptsError(WebError):
    """Too many failed log-ins for one login or from one address; `retry_after` is in seconds."""

    status = 429
    code = "TOO_MANY_ATTEMPTS"


class BusyError(WebError):
    """The service or its database has no capacity at this moment."""

    status = 503
    code = "BUSY"
