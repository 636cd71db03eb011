"""What can be wrong with an action on a case."""

from trace_service.web.errors import WebError


class CheckCodeMissingError(WebError):
    """Something was found in a field check, and no code says what."""

    status = 422
    code = "CHECK_CODE_MISSING"


class CaseStateError(WebError):
    """The case is in a state in which this cannot be done, or somebody else has changed it meanwhile."""

    status = 409
    code = "CASE_STATE"


class SecondPersonError(WebError):
    """A case of this value is closed by two persons, and the second is never the first."""

    status = 409
    code = "SECOND_PERSON"


class AttachmentError(WebError):
    """A file that is too large, or not of a type that is kept."""

    status = 422
    code = "ATTACHMENT_REFUSED"
