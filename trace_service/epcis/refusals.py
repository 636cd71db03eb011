"""What a request can be refused for, under the standard's names for it (EPCIS 2.0, section 12)."""

from collections.abc import Sequence
from typing import ClassVar

from trace_service.epcis.standard.problems import Problem
from trace_service.web.errors import WebError


class EpcisError(WebError):
    """The root of the interface's own refusals; `exception` is the standard's name."""

    exception: ClassVar[str] = "ImplementationException"
    code = "EPCIS"

    def __init__(self, message: str, *, advice: str = "", problems: Sequence[Problem] = ()) -> None:
        super().__init__(message, advice=advice)
        self.problems = problems


class ValidationError(EpcisError):
    """A document, event or query that is not what the standard asks for."""

    exception = "ValidationException"
    code = "INVALID_DOCUMENT"


class QueryParameterError(EpcisError):
    """A query parameter that is unknown or malformed."""

    exception = "QueryParameterException"
    code = "INVALID_QUERY"


class NoSuchResourceError(EpcisError):
    """Nothing of that name for this brand."""

    status = 404
    exception = "NoSuchResourceException"
    code = "NO_SUCH_RESOURCE"


class NotAcceptableError(EpcisError):
    """A header asks for what is not offered: another version, another form."""

    status = 406
    exception = "NotAcceptableException"
    code = "NOT_ACCEPTABLE"


class AlreadyExistsError(EpcisError):
    """Something else has that name."""

    status = 409
    exception = "ResourceAlreadyExistsException"
    code = "ALREADY_EXISTS"


class CaptureLimitError(EpcisError):
    """A document with too many bytes or events."""

    status = 413
    exception = "CaptureLimitExceededException"
    code = "CAPTURE_LIMIT"


class QueryTooLargeError(EpcisError):
    """More events than the query allowed for."""

    status = 413
    exception = "QueryTooLargeException"
    code = "QUERY_TOO_LARGE"


class MediaTypeError(EpcisError):
    """A body in a form that is not read here."""

    status = 415
    exception = "UnsupportedMediaTypeException"
    code = "MEDIA_TYPE"


class SubscriptionControlsError(EpcisError):
    """A subscription without a destination, or with a schedule that is none."""

    exception = "SubscriptionControlsException"
    code = "INVALID_SUBSCRIPTION"
