"""Code masters: one random secret per brand and epoch, wrapped at rest under the service's own key."""

import base64
import secrets

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import (
    InvalidUnwrap,
    aes_key_unwrap,
    aes_key_unwrap_with_padding,
    aes_key_wrap,
    aes_key_wrap_with_padding,
)
from pydantic import SecretStr

from contracts.errors import ConfigurationError

MASTER_BYTES = 32


class KeyWrapper:
    """Wraps and unwraps masters (RFC 3394) under a key-encryption key of 32 bytes, given in base64."""

    def __init__(self, key_encryption_key: SecretStr) -> None:
        self._key = base64.b64decode(key_encryption_key.get_secret_value(), validate=True)

    def fresh(self) -> bytes:
        """Return a new random master, wrapped."""
        return aes_key_wrap(self._key, secrets.token_bytes(MASTER_BYTES))

    def unwrap(self, wrapped: bytes) -> bytes:
        """Return the master; raises `ConfigurationError` where it was wrapped under another key or altered."""
        try:
            return aes_key_unwrap(self._key, wrapped)
        except InvalidUnwrap as error:
            raise ConfigurationError(
                "a code master cannot be unwrapped",
                advice="Set TRACE_KEY_ENCRYPTION_KEY to the key under which this database's masters were made.",
            ) from error

    def derived(self, purpose: str) -> bytes:
        """Return a key of 32 bytes for one purpose (HKDF-SHA-256): the same for the same, unlike any other's."""
        return HKDF(hashes.SHA256(), MASTER_BYTES, salt=None, info=purpose.encode()).derive(self._key)

    def wrap_text(self, secret: str) -> bytes:
        """Return a partner's secret, of whatever length but none, wrapped (RFC 5649)."""
        return aes_key_wrap_with_padding(self._key, secret.encode())

    def unwrap_text(self, wrapped: bytes) -> str:
        """Return a partner's secret; raises `ConfigurationError` as `unwrap` does."""
        try:
            return aes_key_unwrap_with_padding(self._key, wrapped).decode()
        except InvalidUnwrap as error:
            raise ConfigurationError(
                "a partner's secret cannot be unwrapped",
                advice="Set TRACE_KEY_ENCRYPTION_KEY to the key under which this database's secrets were kept.",
            ) from error
