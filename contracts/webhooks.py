"""How a webhook is signed: HMAC-SHA256 over time and body, so that neither can be altered and old ones be told."""

import hashlib
import hmac
import re
from typing import Final

from contracts.errors import CodefenceError

SIGNATURE_HEADER: Final = "Codefence-Signature"
TOPIC_HEADER: Final = "Codefence-Topic"
MESSAGE_HEADER: Final = "Codefence-Message"
REPLAY_SECONDS: Final = 300
_FORM: Final = re.compile(r"t=(\d{1,12})((?:,v1=[0-9a-f]{64}){1,4})")


class SignatureError(CodefenceError):
    """A webhook that was not sent by Codefence, was altered, or is a recording of an old one."""

    code = "SIGNATURE_INVALID"


def sign(secret: str, body: bytes, at: int, *others: str) -> str:
    """Return the value of the signature header for a body sent at `at`, in seconds since the epoch.

    `others` are secrets that the receiver may still know instead, while one is being replaced.
    """
    return ",".join((f"t={at}", *(f"v1={_digest(each, body, str(at))}" for each in (secret, *others))))


def verify(secret: str, body: bytes, header: str, now: float) -> None:
    """Raise `SignatureError` unless `header` signs exactly this body, at most REPLAY_SECONDS from `now` (seconds).

    Pass the body's bytes as they came: parsing and writing it again may change them.
    """
    parts = _FORM.fullmatch(header)
    if parts is None:
        raise SignatureError("the signature header is missing or malformed", advice=f"Read {SIGNATURE_HEADER}.")
    at, digests = parts.groups()
    expected = _digest(secret, body, at)
    # All are compared, so that the time tells nothing.
    if not any([hmac.compare_digest(each, expected) for each in digests.split(",v1=")[1:]]):  # noqa: C419  likewise
        raise SignatureError("the signature does not match the body", advice="Check the subscription's secret.")
    if abs(now - int(at)) > REPLAY_SECONDS:
        raise SignatureError(f"the message was signed {now - int(at):.0f} s ago", advice="Check this machine's clock.")


def _digest(secret: str, body: bytes, at: str) -> str:
    return hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
