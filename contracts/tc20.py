"""TC20: the serial printed on an item is computed from a counter, not stored.

Deterministic authenticated encryption (the SIV construction of RFC 5297, here over single AES blocks) of a per-GTIN
counter: epoch (5 bits), tag (55 bits) and masked counter (40 bits) as 20 Crockford base-32 characters.
`contracts.tc20_bulk` does the same for millions at once.
"""

import hmac
from enum import StrEnum
from typing import Final, NamedTuple

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from contracts.errors import CodeError

ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH: Final = 20
COUNTERS: Final = 1 << 40
EPOCHS: Final = 32
MASTER_BYTES: Final = 32
_VALUES = {character: value for value, character in enumerate(ALPHABET)}


class Profile(StrEnum):
    """The block cipher: AES-128, or SM4 (GB/T 32907) where national algorithms are prescribed."""

    AES = "aes"
    SM4 = "sm4"


class Serial(NamedTuple):
    """A serial taken apart; nothing is verified yet."""

    epoch: int
    tag: int
    masked: int


class Tc20:
    """Issues and verifies the serials of one tenant in one epoch. Not to be shared between threads."""

    def __init__(self, master: bytes, tenant: str, epoch: int, profile: Profile = Profile.AES) -> None:
        """Derive both keys from `master` (32 random bytes or more); `epoch` is 0 to 31, 0 for training labels."""
        self.epoch = epoch
        self._tag, self._mask = ciphers(master, tenant, epoch, profile)

    def issue(self, gtin: str, counter: int) -> str:
        """Return the serial of item number `counter` (0 to 2^40 - 1) of a GTIN-14."""
        if not 0 <= counter < COUNTERS:
            raise ValueError("a TC20 counter has 40 bits")
        tag = self._tag_of(gtin, counter)
        return _text(self.epoch << 95 | tag << 40 | (counter ^ self._mask_of(gtin, tag)))

    def verify(self, gtin: str, serial: str) -> int | None:
        """Return the counter behind a serial, or None: whatever is wrong, the answer is the same."""
        try:
            epoch, tag, masked = split(serial)
        except CodeError:
            return None
        counter = masked ^ self._mask_of(gtin, tag)
        expected = self._tag_of(gtin, counter)
        same = hmac.compare_digest(tag.to_bytes(7, "big"), expected.to_bytes(7, "big"))
        return counter if same and epoch == self.epoch else None

    def _block(self, domain: int, gtin: str, value: int) -> bytes:
        return bytes((self.epoch, domain)) + int(gtin).to_bytes(6, "big") + value.to_bytes(8, "big")

    def _tag_of(self, gtin: str, counter: int) -> int:
        return int.from_bytes(self._tag.update(self._block(1, gtin, counter))[:8], "big") >> 9

    def _mask_of(self, gtin: str, tag: int) -> int:
        return int.from_bytes(self._mask.update(self._block(2, gtin, tag))[:5], "big")


def ciphers(master: bytes, tenant: str, epoch: int, profile: Profile) -> tuple[CipherContext, CipherContext]:
    """Return the raw block ciphers of tag and mask. Neither may be shared between threads."""
    if len(master) < MASTER_BYTES or not 0 <= epoch < EPOCHS:
        raise ValueError("a TC20 master has 32 bytes or more and an epoch lies in 0..31")
    keys = HKDF(hashes.SHA256(), length=32, salt=b"TC20/v1", info=f"{tenant}|{epoch:02d}".encode()).derive(master)
    algorithm = {Profile.AES: algorithms.AES, Profile.SM4: algorithms.SM4}[profile]
    # ECB over single, distinct blocks is the raw block cipher that the SIV construction is built from.
    tag, mask = (Cipher(algorithm(key), modes.ECB()).encryptor() for key in (keys[:16], keys[16:]))  # noqa: S305
    return tag, mask


def split(serial: str) -> Serial:
    """Take a serial apart; raises `CodeError` where it has another length or a foreign character."""
    if len(serial) != LENGTH:
        raise CodeError(f"a TC20 serial has {LENGTH} characters, not {len(serial)}", position=min(len(serial), LENGTH))
    bits = 0
    for position, character in enumerate(serial):
        value = _VALUES.get(character)
        if value is None:
            raise CodeError(f"{character!r} is not in the TC20 alphabet", position=position)
        bits = bits << 5 | value
    return Serial(bits >> 95, bits >> 40 & (1 << 55) - 1, bits & COUNTERS - 1)


def _text(bits: int) -> str:
    return "".join(ALPHABET[bits >> shift & 31] for shift in range(95, -1, -5))
