"""The service's signing key: made on first use, wrapped at rest, its public half pinned by stations."""

from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from trace_service.keys import KeyWrapper
from trace_service.store.connection import Connection
from trace_service.store.queries import SQL


class SigningKey(NamedTuple):
    """A key pair and its name; the name is the beginning of the public half in hexadecimal digits."""

    id: str
    private: Ed25519PrivateKey

    @property
    def public(self) -> bytes:
        """The public half, 32 bytes."""
        return self.private.public_key().public_bytes_raw()


def signing_key(connection: Connection, keys: KeyWrapper) -> SigningKey:
    """Return the key in force, made now where there is none."""
    with connection.transaction():
        connection.execute(SQL["lock_signing"])
        row = connection.execute(SQL["signing_key"]).fetchone()
        if row is not None:
            return SigningKey(row.id, Ed25519PrivateKey.from_private_bytes(keys.unwrap(bytes(row.wrapped))))
        wrapped = keys.fresh()
        private = Ed25519PrivateKey.from_private_bytes(keys.unwrap(wrapped))
        made = SigningKey(private.public_key().public_bytes_raw().hex()[:16], private)
        connection.execute(SQL["insert_signing_key"], {"id": made.id, "public": made.public, "wrapped": wrapped})
        return made
