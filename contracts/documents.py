"""The code on an accompanying document: what it says is signed, so that a receiving dock can trust it offline.

    CF/DOC/{order}/{number}/{units}/{items}/{content}/{signature}

`number` counts the documents of one order, `units` what was loaded (cases, pallets, loose items), `items` the single
items in them. `content` is the SHA-256 of the document's canonical content, `signature` Ed25519 over everything before
it; both in base 32 without padding, so that all of it fits QR's alphanumeric mode.
"""

import base64
import re
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from contracts.errors import CodeError

_PATTERN: Final = re.compile(
    r"(CF/DOC/([A-Z0-9_-]{1,64})/(\d{1,6})/(\d{1,9})/(\d{1,9})/([A-Z2-7]{52}))/([A-Z2-7]{103})"
)
_PREFIX: Final = b"codefence document\n"


class DocumentCode(NamedTuple):
    """What the code says; `content` is a SHA-256, 32 bytes."""

    order: str
    number: int
    units: int
    items: int
    content: bytes


def sign(code: DocumentCode, key: Ed25519PrivateKey) -> tuple[str, bytes]:
    """Return the text to print, and the signature in it."""
    text = f"CF/DOC/{code.order}/{code.number}/{code.units}/{code.items}/{_base32(code.content)}"
    signature = key.sign(_PREFIX + text.encode())
    return f"{text}/{_base32(signature)}", signature


def verify(text: str, key: Ed25519PublicKey) -> DocumentCode:
    """Return what a code says if its signature holds; raises `CodeError`."""
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise CodeError("no code of an accompanying document", advice="Scan the large code at the document's head.")
    try:
        key.verify(_bytes(match[7]), _PREFIX + match[1].encode())
    except InvalidSignature as error:
        raise CodeError(
            f"the document of {match[2]} is not what was issued", advice="Ask the sender for the original."
        ) from error
    return DocumentCode(match[2], int(match[3]), int(match[4]), int(match[5]), _bytes(match[6]))


def _base32(data: bytes) -> str:
    return base64.b32encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b32decode(text + "=" * (-len(text) % 8))
