"""Files of a case: their type is what their first bytes say, their name is decoration."""

import hashlib
import re
from typing import Final, NamedTuple

from trace_service.cases.errors import AttachmentError

LARGEST_FILE: Final = 10 * 1024 * 1024
LARGEST_CASE: Final = 200 * 1024 * 1024
MOST_FILES: Final = 200
_LONGEST_NAME: Final = 120
_ENDINGS: Final = {"image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp", "application/pdf": ".pdf"}
_UNSAFE: Final = re.compile(r"[^\w.()\- ]+")


class Upload(NamedTuple):
    """A file that was looked at: a safe name, the type of its content, and its SHA-256."""

    name: str
    media_type: str
    content: bytes
    sha256: bytes


def inspect(name: str, content: bytes) -> Upload:
    """Return a file as it is kept. Raises `AttachmentError` where it is too large, empty or of no known type."""
    if not content or len(content) > LARGEST_FILE:
        raise AttachmentError(f"{len(content)} bytes", advice=f"A file has 1 byte to {LARGEST_FILE >> 20} MB.")
    media_type = sniff(content)
    if media_type is None:
        raise AttachmentError("no JPEG, PNG, WebP or PDF", advice="Save it as one of these and try again.")
    return Upload(safe_name(name, media_type), media_type, content, hashlib.sha256(content).digest())


def sniff(content: bytes) -> str | None:
    """Return the media type that the content has, or None for one that is not kept."""
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    if content.startswith(b"%PDF-"):
        return "application/pdf"
    return None


def safe_name(name: str, media_type: str) -> str:
    """Return a name without paths or control characters, whose ending agrees with the content."""
    base = name.replace("\\", "/").rsplit("/", 1)[-1]
    stem = _UNSAFE.sub("_", base.rpartition(".")[0] or base).strip(" ._") or "file"
    ending = _ENDINGS[media_type]
    return stem[: _LONGEST_NAME - len(ending)] + ending
