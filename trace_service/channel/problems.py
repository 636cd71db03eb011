"""What is wrong with a table of the channel: where exactly, under a stable code whose words are in the catalogues."""

from typing import Any, Final, Literal, NamedTuple, TypeAlias

from trace_service.words import DEFAULT_ZONE, Words, zone

Severity: TypeAlias = Literal["error", "warning"]
ENGLISH: Final = Words("en", zone(DEFAULT_ZONE))


class Spot(NamedTuple):
    """A place in a file: rows count from 1 as a spreadsheet shows them, column is the heading as written."""

    file: str
    sheet: str = ""
    row: int | None = None
    column: str = ""


class Problem(NamedTuple):
    """One thing wrong; a warning does not stop an import. `parameters` fill the words of `code`."""

    code: str
    spot: Spot
    parameters: dict[str, Any]
    severity: Severity = "error"

    def message(self, words: Words = ENGLISH) -> str:
        """Return what is wrong, in the reader's language."""
        return words(f"problem.{self.code}", **self.parameters)

    def remedy(self, words: Words = ENGLISH) -> str:
        """Return what to do about it."""
        return words(f"problem.{self.code}.remedy", **self.parameters)

    def as_row(self) -> dict[str, Any]:
        """Return the problem for machines, with its English words."""
        return {
            "severity": self.severity,
            **self.spot._asdict(),
            "code": self.code,
            "message": self.message(),
            "remedy": self.remedy(),
        }


class FieldError(Exception):
    """A cell that cannot be used; the reader of its row adds the place."""

    def __init__(self, code: str, **parameters: object) -> None:
        super().__init__(code)
        self.code = code
        self.parameters = parameters


class FileProblemError(Exception):
    """A file that cannot be read at all."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem
