"""What can be wrong with a GS1 identifier, each with a stable reason and a position."""

from typing import NamedTuple

from contracts.errors import CheckDigitError, CodeError


class Gs1Error(CodeError):
    """A text is no GS1 identifier; `reason` is stable across versions, `position` counts characters from 0."""

    def __init__(self, reason: str, message: str, *, position: int = 0) -> None:
        super().__init__(message, position=position, advice="Scan the GS1 code on the label.")
        self.reason = reason


class Gs1CheckDigitError(Gs1Error, CheckDigitError):
    """A key's check digit contradicts the digits before it."""

    code = CheckDigitError.code


class Fault(NamedTuple):
    """What is wrong with one value: the reason, the offset within the value, and a sentence."""

    reason: str
    offset: int
    message: str


def error_of(fault: Fault, position: int) -> Gs1Error:
    """Return the error that reports `fault` at `position` of the input."""
    kind = Gs1CheckDigitError if fault.reason == CheckDigitError.code else Gs1Error
    return kind(fault.reason, fault.message, position=position)
