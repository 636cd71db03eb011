"""One tree of errors with stable codes, shared across the wire, each with advice for the operator."""

from typing import ClassVar


class CodefenceError(Exception):
    """The root: `code` is stable across versions and languages, `advice` says what to do next."""

    code: ClassVar[str] = "INTERNAL"

    def __init__(self, message: str, *, advice: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice


class StartError(CodefenceError):
    """A part of the system could not be started on this machine."""

    code = "START_FAILED"


class ConfigurationError(CodefenceError):
    """A setting is missing, contradicts another, or is a placeholder where a secret is needed."""

    code = "CONFIGURATION"


class ImageError(CodefenceError):
    """An image file could not be read; `code` tells which of the reasons below it is."""

    code = "IMAGE_UNREADABLE"


class ImageMissingError(ImageError):
    """A file that was asked for does not exist."""

    code = "IMAGE_MISSING"


class ImageTooLargeError(ImageError):
    """An image has more pixels than a station is willing to hold in memory."""

    code = "IMAGE_TOO_LARGE"


class SourceError(CodefenceError):
    """A scanner, camera or shelf controller does not answer or answers nonsense."""

    code = "SOURCE_FAILED"


class OutboxFullError(CodefenceError):
    """The edge refuses a new scan because what it already holds has not been acknowledged."""

    code = "OUTBOX_FULL"


class OutboxError(CodefenceError):
    """The edge cannot keep events: its file is damaged, or its disk is full or failing."""

    code = "OUTBOX_FAILED"


class CodeError(CodefenceError):
    """A text is no code of the kind it claims to be; `position` counts characters from 0."""

    code = "CODE_INVALID"

    def __init__(self, message: str, *, position: int = 0, advice: str = "") -> None:
        super().__init__(message, advice=advice)
        self.position = position


class CheckDigitError(CodeError):
    """A GS1 key whose check digit contradicts the digits before it."""

    code = "CHECK_DIGIT"


class MessageError(CodefenceError):
    """A device's message breaks the contract; it goes to the dead letters under this code."""

    code = "MESSAGE_INVALID"


class HeaderError(MessageError):
    """The header line of a message is missing or malformed, so that the message has no identity."""

    code = "HEADER_INVALID"


class ChecksumError(MessageError):
    """The body of a message is not what its header's CRC was computed from."""

    code = "CHECKSUM"


class TimestampError(MessageError):
    """An event's capture time lies outside the accepted window, 30 days back to 5 minutes ahead."""

    code = "TIME_OUT_OF_RANGE"


class ContentMismatchError(MessageError):
    """A sequence number that was committed before arrived again with other content."""

    code = "CONTENT_MISMATCH"


class TopicError(MessageError):
    """A message arrived on a topic that its device may not use, or that is no topic of ours."""

    code = "TOPIC_INVALID"
