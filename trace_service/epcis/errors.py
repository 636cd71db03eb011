"""What can be wrong with a document before anybody looks at its events."""

from contracts.errors import CodefenceError


class DocumentError(CodefenceError):
    """Bytes that are no JSON or XML document at all, or too many of them."""

    code = "DOCUMENT_UNREADABLE"
