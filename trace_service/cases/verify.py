"""Checks an evidence pack without any database: hashes, signature, and the chain of its history."""

import base64
import binascii
import hashlib
import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from contracts.errors import CodefenceError
from trace_service.cases.history import broken_at
from trace_service.cases.pack import FORMAT, SIGNED
from trace_service.cases.reproduce import FiguresError, OtherVersionError, reproduced

_LARGEST_FILE: Final = 256 * 1024 * 1024
_MOST_FILES: Final = 2_000
_OWN: Final = frozenset({"manifest.json", "manifest.sig"})


class PackError(CodefenceError):
    """A pack that is damaged, was altered, or was signed by somebody else."""

    code = "PACK_INVALID"


class Verified(NamedTuple):
    """What a sound pack says of itself; `pinned` tells whether the key was one that the caller brought.

    `unchecked` are alerts that another version of the program kept: what is stored with them is what was signed, and
    their figures were not computed again.
    """

    case: int
    brand: str
    made_at: str
    key: str
    pinned: bool
    files: int
    entries: int
    unchecked: tuple[int, ...] = ()


def verify_pack(path: Path, key: bytes | None = None) -> Verified:
    """Return what a pack says if all of it holds; `key` is the public half that must have signed it, 32 bytes.

    Raises `PackError`, which names the first thing that does not hold.
    """
    try:
        with zipfile.ZipFile(path) as pack:
            return _verify(pack, key)
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError) as error:
        raise PackError(f"{path.name} cannot be read as a pack: {error}", advice="Ask for it again.") from error
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, binascii.Error) as error:
        raise PackError(f"{path.name} is no evidence pack: {error}", advice="Ask for it again.") from error


def _verify(pack: zipfile.ZipFile, key: bytes | None) -> Verified:
    names = [each.filename for each in pack.infolist()]
    if len(names) > _MOST_FILES or len(set(names)) != len(names):
        raise PackError("the pack holds too many files, or one twice", advice="Ask for it again.")
    # 1. Who signed the manifest?
    raw = _read(pack, "manifest.json")
    manifest = msgspec.json.decode(raw)
    if manifest["format"] != FORMAT:
        raise PackError(f"{manifest['format']!r} is another format", advice="Use the version that made it.")
    public = key or base64.b64decode(manifest["key"]["public"], validate=True)
    try:
        signature = base64.b64decode(_read(pack, "manifest.sig").strip(), validate=True)
        Ed25519PublicKey.from_public_bytes(public).verify(signature, SIGNED + raw)
    except InvalidSignature as error:
        raise PackError("the manifest was not signed by that key", advice="Check --key, or distrust it.") from error
    # 2. Is each file what the manifest says, and no file besides?
    listed = {each["path"]: each for each in manifest["files"]}
    if strangers := sorted(set(names) - _OWN - listed.keys()):
        raise PackError(f"{strangers[0]} is not in the manifest", advice="Distrust the pack.")
    for path, said in listed.items():
        content = _read(pack, path)
        if (len(content), hashlib.sha256(content).hexdigest()) != (said["size"], said["sha256"]):
            raise PackError(f"{path} is not what was signed", advice="Distrust the pack.")
    # 3. Is the history whole?
    entries = [_entry(each) for each in msgspec.json.decode(_read(pack, "history.json"))]
    if (place := broken_at(manifest["case"], entries)) is not None:
        raise PackError(f"entry {place} of the history does not follow from the one before", advice="Distrust it.")
    # 4. Do the alerts say what follows from what they were computed from?
    unchecked = _check_figures(msgspec.json.decode(_read(pack, "alerts.json")))
    return Verified(
        manifest["case"], manifest["brand"], manifest["made_at"], manifest["key"]["id"], key is not None,
        len(listed), len(entries), unchecked,
    )  # fmt: skip


def _check_figures(alerts: list[dict[str, Any]]) -> tuple[int, ...]:
    """Return the numbers of the alerts whose figures only another version can compute."""
    unchecked = []
    for alert in alerts:
        try:
            differing = [each for each in reproduced([alert]) if not each.agrees]
        except OtherVersionError:
            unchecked.append(int(alert["id"]))
            continue
        except FiguresError as error:
            raise PackError(error.message, advice=error.advice) from error
        for figure in differing:
            raise PackError(
                f"{figure.name} of alert {figure.alert} is stated as {figure.stated} and comes to {figure.computed}",
                advice="Distrust the alert: it was kept by this very version, and says something else.",
            )
    return tuple(unchecked)


def _read(pack: zipfile.ZipFile, path: str) -> bytes:
    try:
        if pack.getinfo(path).file_size > _LARGEST_FILE:
            raise PackError(f"{path} is too large", advice="Distrust the pack.")
    except KeyError as error:
        raise PackError(f"{path} is missing", advice="Ask for the pack again.") from error
    return pack.read(path)


def _entry(entry: dict[str, Any]) -> dict[str, Any]:
    return {
        **entry,
        "at": datetime.fromisoformat(entry["at"]),
        "previous": bytes.fromhex(entry["previous"]),
        "digest": bytes.fromhex(entry["digest"]),
    }
