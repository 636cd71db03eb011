"""What can go wrong between here and there."""

from typing import ClassVar

from contracts.errors import CodefenceError


class ApiError(CodefenceError):
    """The service refused a request; `problem` is its stable code, such as NOT_FOUND, `status` the HTTP status."""

    code: ClassVar[str] = "API_REFUSED"

    def __init__(self, status: int, problem: str, message: str, *, advice: str = "") -> None:
        super().__init__(message, advice=advice)
        self.status = status
        self.problem = problem


class UnreachableError(CodefenceError):
    """No answer, after every attempt that was safe to make."""

    code: ClassVar[str] = "UNREACHABLE"
