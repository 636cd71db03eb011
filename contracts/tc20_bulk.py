"""TC20 for millions of codes at once, in arrays. A module of its own: plain `contracts.tc20` needs no numpy.

Works in pieces of 16,384 codes, whose buffers stay in a processor's cache; larger pieces are slower.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contracts.tc20 import ALPHABET, COUNTERS, LENGTH, Profile, ciphers

CHUNK: Final = 16_384
Serials = NDArray[np.bytes_]
"""Serials as an array of 20-byte texts (dtype S20)."""
Words = NDArray[np.uint64]
_U = np.uint64
_INVALID: Final = 1 << 15


def _pairs() -> NDArray[np.uint16]:
    letters = ALPHABET.encode()
    return np.frombuffer(b"".join(bytes((first, second)) for first in letters for second in letters), dtype=np.uint16)


def _quads() -> NDArray[np.uint32]:
    """Return the four letters of each 20-bit number."""
    pairs = _pairs()
    both = np.empty((pairs.size, pairs.size, 2), dtype=np.uint16)
    both[:, :, 0], both[:, :, 1] = pairs[:, None], pairs[None, :]
    return both.reshape(-1).view(np.uint32)


def _values() -> NDArray[np.uint16]:
    """Return the 10-bit number of each two letters, and `_INVALID` for what are no two letters."""
    values = np.full(1 << 16, _INVALID, dtype=np.uint16)
    values[_pairs()] = np.arange(1 << 10, dtype=np.uint16)
    return values


_QUADS: Final = _quads()
_VALUES: Final = _values()


class BulkTc20:
    """Issues and verifies serials of one tenant in one epoch. Not to be shared between threads."""

    def __init__(self, master: bytes, tenant: str, epoch: int, profile: Profile = Profile.AES) -> None:
        """Derive both keys from `master`, as `Tc20` does."""
        self.epoch = epoch
        self._tag, self._mask = ciphers(master, tenant, epoch, profile)
        self._blocks = np.empty((CHUNK, 2), dtype=_U)
        # update_into asks for a block less a byte of room beyond what it writes.
        self._sealed = np.empty((CHUNK + 1, 2), dtype=_U)
        self._words = {domain: np.empty(CHUNK, dtype=_U) for domain in (1, 2)}
        self._index = np.empty(CHUNK, dtype=_U)

    def chunks(self, gtin: str, first: int, count: int) -> Iterator[Serials]:
        """Yield the serials of `count` counters from `first` on in pieces, each an array of its own.

        Raises `ValueError` where a counter lies outside 0 to 2^40 - 1.
        """
        if first < 0 or count < 0 or first + count > COUNTERS:
            raise ValueError("a TC20 counter has 40 bits")
        for start in range(first, first + count, CHUNK):
            counters = np.arange(start, min(start + CHUNK, first + count), dtype=_U)
            yield self._issue(_U(int(gtin)), counters)

    def issue(self, gtin: str, first: int, count: int) -> Serials:
        """Return the serials of `count` counters from `first` on."""
        pieces = list(self.chunks(gtin, first, count))
        return np.concatenate(pieces) if pieces else np.empty(0, dtype=f"S{LENGTH}")

    def verify(self, gtin: str | Words, serials: Serials) -> NDArray[np.int64]:
        """Return the counter behind each serial, or -1: whatever is wrong, the answer is the same.

        `gtin` is that of all, or an array of one number for each serial. Raises `ValueError` where `serials` are not
        of dtype S20: a longer text that was cut would pass for its beginning.
        """
        if serials.dtype.itemsize != LENGTH:
            raise ValueError(f"serials are texts of {LENGTH} bytes, not {serials.dtype}")
        flat = np.ascontiguousarray(serials)
        counters = np.empty(flat.size, dtype=np.int64)
        for start in range(0, flat.size, CHUNK):
            piece = slice(start, start + CHUNK)
            number = _U(int(gtin)) if isinstance(gtin, str) else gtin[piece]
            counters[piece] = self._verify(number, flat[piece])
        return counters

    def _seal(self, domain: int, gtin: _U | Words, values: Words) -> Words:
        """Return the first eight bytes of each encrypted block, as numbers; the array is used again."""
        size, cipher = values.size, self._tag if domain == 1 else self._mask
        blocks = self._blocks[:size].view(">u8")
        blocks[:, 0] = gtin | _U(self.epoch << 56 | domain << 48)
        blocks[:, 1] = values
        sealed = self._sealed[: size + 1]
        plain, room = self._blocks[:size].view(np.uint8), sealed.view(np.uint8)
        cipher.update_into(plain.reshape(-1).data, room.reshape(-1).data)
        words = self._words[domain][:size]
        words[:] = sealed[:size, 0].view(">u8")
        return words

    def _issue(self, gtin: _U, counters: Words) -> Serials:
        tags = self._seal(1, gtin, counters)
        tags >>= _U(9)
        masked = self._seal(2, gtin, tags)
        masked >>= _U(24)
        masked ^= counters
        text = np.empty((counters.size, 5), dtype=np.uint32)
        index, low = self._index[: counters.size], _U((1 << 20) - 1)
        # Clipping changes nothing, the numbers have 20 bits; it spares numpy its check of each.
        where = index.view(np.int64)
        np.right_shift(tags, _U(40), out=index)
        np.bitwise_or(index, _U(self.epoch << 15), out=index)
        text[:, 0] = _QUADS.take(where, mode="clip")
        for column, (word, shift) in enumerate(((tags, 20), (tags, 0), (masked, 20), (masked, 0)), start=1):
            np.right_shift(word, _U(shift), out=index)
            np.bitwise_and(index, low, out=index)
            text[:, column] = _QUADS.take(where, mode="clip")
        return text.view(f"S{LENGTH}").reshape(-1)

    def _verify(self, gtin: _U | Words, serials: Serials) -> NDArray[np.int64]:
        # 1. Letters to numbers of 10 bits, and whether all of them are letters of the alphabet.
        pairs = serials.view(np.uint16).reshape(-1, LENGTH // 2)
        head, *rest = (_VALUES.take(pairs[:, column], mode="clip") for column in range(LENGTH // 2))
        wrong = np.bitwise_or.reduce([head, *rest]) & _INVALID
        # 2. The epoch is this one.
        wrong |= (head >> 5) ^ self.epoch
        # 3. Unmask the counter.
        head &= 31
        tags = _joined([head, *rest[:5]]) & _U((1 << 55) - 1)
        counters = _joined(rest[5:]) & _U(COUNTERS - 1)
        counters ^= self._seal(2, gtin, tags) >> _U(24)
        # 4. Compute the tag anew and compare all of it, whatever has been found wrong before.
        differs = self._seal(1, gtin, counters)
        differs >>= _U(9)
        differs ^= tags
        return np.where((differs | wrong) == 0, counters.view(np.int64), np.int64(-1))


def as_serials(texts: Sequence[str]) -> Serials:
    """Return texts as an array for `verify`; one that is no ASCII of 20 characters becomes an empty text."""
    fitting: Iterable[bytes] = (text.encode() if len(text) == LENGTH and text.isascii() else b"" for text in texts)
    return np.array(list(fitting), dtype=f"S{LENGTH}")


def as_lines(serials: Serials) -> bytes:
    """Return serials one a line, each line ended."""
    lines = np.full((serials.size, LENGTH + 1), ord("\n"), dtype=np.uint8)
    lines[:, :LENGTH] = serials.view(np.uint8).reshape(-1, LENGTH)
    return lines.tobytes()


def _joined(values: Sequence[NDArray[np.uint16]]) -> Words:
    """Put numbers of 10 bits one behind the other, most significant first."""
    joined = values[0].astype(_U)
    for each in values[1:]:
        joined <<= _U(10)
        joined |= each
    return joined
