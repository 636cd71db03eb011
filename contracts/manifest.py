"""The signed manifest: all that a site's stations need to judge a scan while nobody else can be asked.

A manifest is one file: magic `CFM1`, the length of the head (4 bytes), the head (JSON), group rows, item hashes, and
an Ed25519 signature (64 bytes) over everything before it. Integers are little endian.

A code is named by the first 8 bytes of BLAKE2b over its canonical key, keyed with the manifest's own salt. What lies
in one case is a group: the case's hash once, and 8 bytes for each item. Loose items share groups that are numbered by
the last byte of their hash, 0 to 255, so that a change moves few of them. A pallet is a group without items that its
cases name as their parent.

A delta (magic `CFD1`) carries the new head, the groups that went and those that came, and the new manifest's
signature: what it makes of an older manifest is trusted only because the whole then bears that signature.
"""

import hashlib
import struct
import sys
from array import array
from collections.abc import Iterable, Mapping
from enum import IntEnum
from itertools import accumulate
from typing import Annotated, Final, NamedTuple

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Meta, Struct

from contracts.errors import CodefenceError

MAGIC: Final = b"CFM1"
DELTA_MAGIC: Final = b"CFD1"
SIGNATURE_BYTES: Final = 64
MAX_BYTES: Final = 64 * 1024 * 1024
LOOSE_GROUPS: Final = 256
NO_PRODUCT: Final = 0xFFFF
NO_REFERENCE: Final = 0xFFFF
_LENGTH: Final = struct.Struct("<I")
_ROW: Final = struct.Struct("<QQHHBI")
_KEY: Final = struct.Struct("<QHH")
_HASH: Final = struct.Struct("<Q")


class ManifestError(CodefenceError):
    """A manifest that a station may not trust; `code` says why."""

    code = "MANIFEST_INVALID"


class SignatureError(ManifestError):
    """Altered, or signed with another key than the one that the station pins."""

    code = "MANIFEST_SIGNATURE"


class ExpiredError(ManifestError):
    """Past its time: what it says may no longer be true."""

    code = "MANIFEST_EXPIRED"


class OlderError(ManifestError):
    """Older than one that the station has used before."""

    code = "MANIFEST_OLDER"


class VersionLostError(ManifestError):
    """Which version the station used last cannot be read: any manifest may be an older one."""

    code = "MANIFEST_VERSION_LOST"


class ForeignError(ManifestError):
    """Made for another site, or a delta to another version."""

    code = "MANIFEST_FOREIGN"


class Standing(IntEnum):
    """Where the units of a group are, as far as the trace service knows."""

    ON_HAND = 0
    SHIPPED = 1
    INBOUND = 2


class Product(Struct, frozen=True):
    """A trade item with its names."""

    gtin: str
    name_zh: str
    name_en: str
    items_per_case: Annotated[int, Meta(ge=1)]


class OrderLine(Struct, frozen=True):
    """What is ordered of one product: `quantity` counts `unit`s, `items` is the same in single items."""

    line: int
    gtin: str
    quantity: int
    unit: Annotated[str, Meta(pattern=r"^(item|case)\Z")]
    items: int


class StationOrder(Struct, frozen=True):
    """An open order: whom it is for, where that dealer may sell, and until when this may be relied on."""

    id: str
    version: int
    brand: str
    dealer: str
    dealer_zh: str
    dealer_en: str
    territory: str
    """The version of the dealer's territory, as the SHA-256 that its record carries; empty where there is none."""
    channel: str
    due: str
    lines: tuple[OrderLine, ...]


class Reference(Struct, frozen=True):
    """What a group that is not on hand belongs to: the order, whom it went to, and when (milliseconds)."""

    order: str
    dealer: str
    at: int


class Supervisor(Struct, frozen=True):
    """Who may release a stopped station: the PIN as scrypt with its own salt, both in hexadecimal digits."""

    id: str
    name: str
    salt: str
    pin: str


class Head(Struct, frozen=True, kw_only=True):
    """The manifest's readable part; times in milliseconds since the epoch."""

    site: str
    version: Annotated[int, Meta(ge=1)]
    issued_at: int
    expires_at: int
    key: str
    salt: Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]
    groups: Annotated[int, Meta(ge=0)]
    items: Annotated[int, Meta(ge=0)]
    products: tuple[Product, ...] = ()
    orders: tuple[StationOrder, ...] = ()
    references: tuple[Reference, ...] = ()
    blocked: dict[str, str] = {}
    """Units that must not move: the hash in hexadecimal digits, and why (blocked, recalled, stolen, destroyed …)."""
    supervisors: tuple[Supervisor, ...] = ()


class Group(NamedTuple):
    """Units of one product in one container (0 to 255: loose ones); `reference` and `product` index the head's lists.

    `product` is `NO_PRODUCT` for a pallet and for a case whose contents nobody knows.

    `items` are hashes in rising order.
    """

    container: int
    product: int
    parent: int
    reference: int
    standing: int
    items: tuple[int, ...]

    @property
    def key(self) -> tuple[int, int, int]:
        """What tells groups apart."""
        return self.container, self.product, self.reference


class Delta(NamedTuple):
    """How to come from one version to a newer one."""

    base: int
    head: bytes
    removed: tuple[tuple[int, int, int], ...]
    added: tuple[Group, ...]
    signature: bytes


_HEAD: Final = msgspec.json.Decoder(Head)


def code_hash(salt: bytes, key: str) -> int:
    """Return the 8-byte keyed hash of a unit's canonical key."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8, key=salt).digest(), "little")


def pin_hash(pin: str, salt: bytes) -> str:
    """Return the scrypt hash of a supervisor's PIN in hexadecimal digits; about 50 ms on a small computer."""
    return hashlib.scrypt(pin.encode(), salt=salt, n=1 << 14, r=8, p=1, dklen=32).hex()


def write(head: Head, groups: Iterable[Group], key: Ed25519PrivateKey) -> bytes:
    """Return a signed manifest; the head's counts are set from the groups, which may come in any order."""
    ordered = sorted(groups)
    head = msgspec.structs.replace(head, groups=len(ordered), items=sum(len(each.items) for each in ordered))
    body = _body(msgspec.json.encode(head), ordered)
    return body + key.sign(body)


def verify(data: bytes, key: Ed25519PublicKey) -> Head:
    """Return the head of a manifest whose signature holds; raises `SignatureError` or `ManifestError`."""
    if len(data) > MAX_BYTES:
        raise ManifestError(f"{len(data)} bytes are more than {MAX_BYTES}")
    if data[:4] != MAGIC or len(data) < len(MAGIC) + _LENGTH.size + SIGNATURE_BYTES:
        raise ManifestError("no manifest", advice="Fetch it from the trace service again.")
    try:
        key.verify(data[-SIGNATURE_BYTES:], memoryview(data)[:-SIGNATURE_BYTES])
    except InvalidSignature as error:
        raise SignatureError(
            "the signature does not fit", advice="Fetch the manifest again; check EDGE_MANIFEST_KEY."
        ) from error
    head, start = _head_of(data)
    if start + head.groups * _ROW.size + head.items * _HASH.size + SIGNATURE_BYTES != len(data):
        raise ManifestError("the manifest's length contradicts its head")
    return head


def read_head(data: bytes) -> Head:
    """Return the head of a manifest from a trusted place; its signature is not looked at."""
    return _head_of(data)[0]


def tables(data: bytes, head: Head) -> "tuple[list[Group], array[int], array[int]]":
    """Return the rows of a verified manifest without their items, how many items each has, and all items in a row."""
    _, start = _head_of(data)
    table_end = start + head.groups * _ROW.size
    rows, counts, items = [], array("I"), array("Q")
    for container, parent, product, reference, standing, count in _ROW.iter_unpack(data[start:table_end]):
        rows.append(Group(container, product, parent, reference, standing, ()))
        counts.append(count)
    items.frombytes(data[table_end:-SIGNATURE_BYTES])
    if sys.byteorder == "big":
        items.byteswap()
    return rows, counts, items


def groups_of(data: bytes, head: Head) -> list[Group]:
    """Return the groups of a verified manifest, in their order."""
    rows, counts, items = tables(data, head)
    ends = list(accumulate(counts, initial=0))
    return [row._replace(items=tuple(items[ends[number] : ends[number + 1]])) for number, row in enumerate(rows)]


def write_delta(base: bytes, fresh: bytes) -> bytes:
    """Return what leads from one verified manifest to a newer one of the same salt."""
    old_head, new_head = _head_of(base)[0], _head_of(fresh)[0]
    old = {group.key: group for group in groups_of(base, old_head)}
    new = {group.key: group for group in groups_of(fresh, new_head)}
    removed = sorted(key for key in old if key not in new)
    added = sorted(group for key, group in new.items() if old.get(key) != group)
    raw = msgspec.json.encode(new_head)
    parts = [DELTA_MAGIC, _LENGTH.pack(len(raw)), raw, struct.pack("<QII", old_head.version, len(removed), len(added))]
    parts += [_KEY.pack(*key) for key in removed]
    parts += [_packed(group) for group in added]
    parts += [_HASH.pack(item) for group in added for item in group.items]
    return b"".join([*parts, fresh[-SIGNATURE_BYTES:]])


def apply_delta(base: bytes, data: bytes) -> bytes:
    """Return the newer manifest that a delta makes of `base`; the caller verifies it as any other.

    Raises `ForeignError` where the delta is to another version, `ManifestError` where it is damaged.
    """
    delta = _read_delta(data)
    head = _head_of(base)[0]
    if delta.base != head.version:
        raise ForeignError(f"a delta to version {delta.base}, not to {head.version}")
    groups: dict[tuple[int, int, int], Group] = {group.key: group for group in groups_of(base, head)}
    for key in delta.removed:
        groups.pop(key, None)
    groups.update((group.key, group) for group in delta.added)
    return _body(delta.head, sorted(groups.values())) + delta.signature


def is_delta(data: bytes) -> bool:
    """Tell a delta from a whole manifest."""
    return data[:4] == DELTA_MAGIC


def _read_delta(data: bytes) -> Delta:
    try:
        (length,) = _LENGTH.unpack_from(data, 4)
        position = 8 + length
        head = data[8:position]
        base, gone, come = struct.unpack_from("<QII", data, position)
        position += 16
        end = position + gone * _KEY.size
        removed = tuple(_KEY.iter_unpack(data[position:end]))
        table_end = end + come * _ROW.size
        rows = list(_ROW.iter_unpack(data[end:table_end]))
        if not is_delta(data) or len(rows) != come or len(removed) != gone:
            raise ManifestError("the delta is cut short")
        return Delta(base, head, removed, _added(rows, data[table_end:-SIGNATURE_BYTES]), data[-SIGNATURE_BYTES:])
    except struct.error as error:
        raise ManifestError("the delta is damaged", advice="Fetch the whole manifest.") from error


def _added(rows: Iterable[tuple[int, ...]], hashes: bytes) -> tuple[Group, ...]:
    found, position = [], 0
    for container, parent, product, reference, standing, count in rows:
        items = struct.unpack_from(f"<{count}Q", hashes, position)
        found.append(Group(container, product, parent, reference, standing, items))
        position += count * _HASH.size
    return tuple(found)


def _body(head: bytes, groups: Iterable[Group]) -> bytes:
    listed = list(groups)
    hashes = (struct.pack(f"<{len(group.items)}Q", *group.items) for group in listed)
    return b"".join([MAGIC, _LENGTH.pack(len(head)), head, *map(_packed, listed), *hashes])


def _packed(group: Group) -> bytes:
    return _ROW.pack(group.container, group.parent, group.product, group.reference, group.standing, len(group.items))


def _head_of(data: bytes) -> tuple[Head, int]:
    (length,) = _LENGTH.unpack_from(data, len(MAGIC))
    start = len(MAGIC) + _LENGTH.size
    try:
        return _HEAD.decode(data[start : start + length]), start + length
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ManifestError(f"the manifest's head cannot be read: {error}") from error


def blocked_hash(value: int) -> str:
    """Return a hash as the head's `blocked` names it."""
    return f"{value:016x}"


def states(head: Head) -> Mapping[int, str]:
    """Return why units must not move, by their hash."""
    return {int(text, 16): why for text, why in head.blocked.items()}
