"""What can be wrong with a document as a whole."""

from collections.abc import Sequence

from contracts.errors import CodefenceError
from trace_service.epcis.standard.problems import Problem


class DocumentError(CodefenceError):
    """Bytes that are no JSON or XML document at all, or too many of them."""

    code = "DOCUMENT_UNREADABLE"


class InvalidDocumentError(CodefenceError):
    """A document that is wrong beyond single events; `problems` says all that is."""

    code = "DOCUMENT_INVALID"

    def __init__(self, problems: Sequence[Problem]) -> None:
        first = problems[0]
        super().__init__(f"{first.pointer or 'the document'}: {first.message}", advice="Correct it and send it again.")
        self.problems = problems
