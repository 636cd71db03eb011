"""The receiving end of webhooks."""

import time
from collections.abc import Mapping

import msgspec

from contracts.webhooks import SIGNATURE_HEADER, SignatureError, verify
from trace_service.client.models import WebhookMessage


def receive(secret: str, body: bytes, headers: Mapping[str, str]) -> WebhookMessage:
    """Return a message after its signature was checked; `body` as it came. Raises SignatureError."""
    names = {name.lower(): value for name, value in headers.items()}
    verify(secret, body, names.get(SIGNATURE_HEADER.lower(), ""), time.time())
    try:
        return msgspec.json.decode(body, type=WebhookMessage)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise SignatureError(f"signed, but no message of this version: {error}", advice="Update the client.") from error
