"""Look-ups in a signed manifest of 100,000 codes, beside a dictionary, numpy and SQLite."""

import gc
import secrets
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from benchmarks.frame import Figure, Outcome, Progress, Target
from contracts import manifest as wire
from contracts.gs1 import check_digit, item_key
from contracts.manifest import Group, Head, Product, Standing

_CODES: Final = 100_000
_PER_CASE: Final = 12
_LOOK_UPS: Final = 50_000
_GTIN: Final = "09506000134352"
_TARGETS: Final = {
    "manifest.lookup_p99_ms": Target("<=", 1.0),
    "manifest.bytes_a_code": Target("<=", 12.0),
}
_START: Final = """
import sys, time, resource
from pathlib import Path
folder, kind = Path(sys.argv[1]), sys.argv[2]
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from contracts import manifest as wire
key = Ed25519PublicKey.from_public_bytes((folder / "key").read_bytes())
data = (folder / "manifest.bin").read_bytes()
wire.verify(data, key)
from edge.manifest import Manifest
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
before, began = resident(), time.perf_counter()
head = wire.verify(data, key)
if kind == "arrays":
    kept = Manifest(data, head)
elif kind == "dict":
    kept = {item: group for group in wire.groups_of(data, head) for item in group.items}
else:
    import numpy as np
    groups = wire.groups_of(data, head)
    items = np.array([item for group in groups for item in group.items], dtype=np.uint64)
    owners = np.repeat(np.arange(len(groups), dtype=np.uint32), [len(group.items) for group in groups])
    order = np.argsort(items)
    kept = items[order], owners[order]
ready = time.perf_counter() - began
import gc
gc.collect()
print(ready * 1e3, max(0, resident() - before) / 1e6)
"""


def run(progress: Progress) -> Outcome:
    """Look codes of cases and strangers up, one call a code, as a station does."""
    salt = secrets.token_bytes(16)
    progress(f"a manifest of {_CODES} codes in cases of {_PER_CASE}")
    keys, data, private = _manifest(salt)
    asked = [keys[number * 7919 % len(keys)] for number in range(_LOOK_UPS // 2)]
    asked += [item_key(_GTIN, f"STRANGER{number}") for number in range(_LOOK_UPS // 2)]
    figures: dict[str, Figure] = {
        "manifest.codes": _CODES,
        "manifest.megabytes": len(data) / 1e6,
        "manifest.bytes_a_code": len(data) / _CODES,
    }
    with tempfile.TemporaryDirectory(prefix="codefence-bench-") as name:
        folder = Path(name)
        (folder / "manifest.bin").write_bytes(data)
        (folder / "key").write_bytes(private.public_key().public_bytes_raw())
        for kind in ("arrays", "dict", "numpy"):
            progress(f"start and memory of {kind}")
            ready, megabytes = _start(folder, kind)
            prefix = "manifest" if kind == "arrays" else kind
            figures |= {f"{prefix}.start_ms": ready, f"{prefix}.resident_mb": megabytes}
        for prefix, look in _contenders(data, folder, salt).items():
            progress(f"{len(asked)} look-ups: {prefix}")
            figures |= _timed(prefix, look, asked)
    figures["sqlite_p99_to_manifest_p99"] = _ratio(figures, "sqlite.lookup_p99_ms", "manifest.lookup_p99_ms")
    figures["dict_memory_to_manifest_memory"] = _ratio(figures, "dict.resident_mb", "manifest.resident_mb")
    return Outcome(figures, _TARGETS)


def _ratio(figures: dict[str, Figure], numerator: str, denominator: str) -> float:
    return float(figures[numerator]) / max(float(figures[denominator]), 1e-9)


def _manifest(salt: bytes) -> tuple[list[str], bytes, Ed25519PrivateKey]:
    keys, groups = [], []
    for number in range(0, _CODES, _PER_CASE):
        body = f"0950600{number:010d}"
        inside = [item_key(_GTIN, f"{each:020d}") for each in range(number, min(number + _PER_CASE, _CODES))]
        hashes = tuple(sorted(wire.code_hash(salt, key) for key in inside))
        case = wire.code_hash(salt, f"/00/{body}{check_digit(body)}")
        groups.append(Group(case, 0, 0, wire.NO_REFERENCE, Standing.ON_HAND, hashes))
        keys += inside
    private = Ed25519PrivateKey.generate()
    head = Head(
        site="dc", version=1, issued_at=0, expires_at=2**50, key="bench", salt=salt.hex(), groups=0, items=0,
        products=(Product(_GTIN, "清源特曲", "Tequ", _PER_CASE),),
    )  # fmt: skip
    return keys, wire.write(head, groups, private), private


def _start(folder: Path, kind: str) -> tuple[float, float]:
    command = [sys.executable, "-c", _START, str(folder), kind]
    rounds = [subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() for _ in range(3)]
    return statistics.median(float(each[0]) for each in rounds), statistics.median(float(each[1]) for each in rounds)


def _contenders(data: bytes, folder: Path, salt: bytes) -> dict[str, Callable[[str], bool]]:
    from edge.manifest import Manifest  # noqa: PLC0415 - after the subprocesses, which measure its import

    manifest = Manifest(data, wire.verify(data, _key(folder)))
    groups = wire.groups_of(data, manifest.head)
    known = {item: group for group in groups for item in group.items}
    database = sqlite3.connect(folder / "codes.db")
    database.execute("CREATE TABLE code (key TEXT PRIMARY KEY, container INTEGER) WITHOUT ROWID")
    rows = ((f"{item:016x}", number) for number, group in enumerate(groups) for item in group.items)
    database.executemany("INSERT INTO code VALUES (?, ?)", rows)
    database.commit()
    query = "SELECT container FROM code WHERE key = ?"

    def in_sqlite(key: str) -> bool:
        return database.execute(query, (f"{wire.code_hash(salt, key):016x}",)).fetchone() is not None

    return {
        "manifest": lambda key: manifest.find(key) is not None,
        "dict": lambda key: wire.code_hash(salt, key) in known,
        "sqlite": in_sqlite,
    }


def _key(folder: Path) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes((folder / "key").read_bytes())


def _timed(prefix: str, look: Callable[[str], bool], asked: list[str]) -> dict[str, Figure]:
    taken, found = [], 0
    gc.collect()
    for key in asked:
        began = time.perf_counter()
        found += look(key)
        taken.append((time.perf_counter() - began) * 1e3)
    if found != len(asked) // 2:
        raise RuntimeError(f"{prefix} found {found} of {len(asked) // 2}")
    cuts = statistics.quantiles(taken, n=100)
    return {f"{prefix}.lookup_p50_ms": cuts[49], f"{prefix}.lookup_p99_ms": cuts[98]}
