r"""The evidence pack of a case: one ZIP with everything it rests on, a manifest of hashes, and our signature.

manifest.json   format, case, brand, when and by whom it was made, the signing key, each file's size and SHA-256
manifest.sig    Ed25519 over `codefence case pack\n` and the manifest's bytes, in base64
case.json, alerts.json, explanations.json, evidence.json, records.json, custody.json, territory.json, checks.json,
history.json, versions.json
attachments/…   every file as it was uploaded
"""

import base64
import hashlib
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, BinaryIO, Final

import msgspec

from trace_service.cases import checks, service
from trace_service.cases.keeping import explained
from trace_service.cases.model import Model
from trace_service.cases.queries import SQL
from trace_service.cases.sync import policy_of
from trace_service.keys import KeyWrapper
from trace_service.signing import signing_key
from trace_service.store.connection import Connection

FORMAT: Final = "codefence-case-pack/1"
SIGNED: Final = b"codefence case pack\n"
# Of 1980, as ZIP wants it: the times that matter are inside.
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_README: Final = """Evidence pack of a Codefence case.

manifest.json names every file with its SHA-256; manifest.sig signs the manifest (Ed25519). Check both, and the chain
of history.json, with:

    codefence case verify PACK --key PUBLIC_KEY

alerts.json holds, as "material", what each alert was computed from: the same command computes its figures again.
explanations.json says what was expected, which innocent explanations were considered and what each took off, and what
would change the verdict.

The public key is what `codefence orders key` prints at whoever issued the pack: ask them, do not take it from here.
"""


def write_pack(connection: Connection, keys: KeyWrapper, brand: str, number: int, target: BinaryIO) -> None:
    """Write a case's pack to a seekable file. Raises `NotFoundError`."""
    case = service.find(connection, brand, number)
    key = signing_key(connection, keys)
    files: list[dict[str, Any]] = []
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as pack:
        for path, content in _contents(connection, brand, number, case):
            files.append({"path": path, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()})
            pack.writestr(zipfile.ZipInfo(path, _EPOCH), content)
        manifest = _json(
            {
                "format": FORMAT,
                "case": number,
                "brand": brand,
                "made_at": datetime.now(UTC),
                "key": {"id": key.id, "public": base64.b64encode(key.public).decode()},
                "files": files,
            }
        )
        pack.writestr(zipfile.ZipInfo("manifest.json", _EPOCH), manifest)
        signature = base64.b64encode(key.private.sign(SIGNED + manifest))
        pack.writestr(zipfile.ZipInfo("manifest.sig", _EPOCH), signature + b"\n")


def _contents(connection: Connection, brand: str, number: int, case: Model) -> Iterator[tuple[str, bytes]]:
    query = {"case": number, "brand": brand}
    yield "README.txt", _README.encode()
    yield "case.json", _json({"case": case.model_dump(), "policy": policy_of(connection, brand).model_dump()})
    for name in ("alerts", "evidence", "records", "custody", "territory", "versions"):
        rows = [row[0] for row in connection.execute(SQL[f"pack_{name}"], query)]
        yield f"{name}.json", _json(rows)
    told = [{"alert": row.id, **msgspec.to_builtins(said)} for row, said in explained(connection, number)]
    yield "explanations.json", _json(told)
    tasks = [each.model_dump() for each in checks.checks(connection, brand, number)]
    found = [each.model_dump() for each in checks.results(connection, brand, number)]
    yield "checks.json", _json({"checks": tasks, "results": found})
    yield "history.json", _json([_entry(each.model_dump()) for each in service.history(connection, number)])
    for each in service.attachments(connection, number):
        row = service.content(connection, brand, number, each.id)
        yield f"attachments/{each.id:06}-{each.name}", bytes(row.content)


def _entry(entry: dict[str, Any]) -> dict[str, Any]:
    return {**entry, "previous": entry["previous"].hex(), "digest": entry["digest"].hex()}


def _json(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value, order="deterministic"), indent=1)
