"""A map in one file: shapes, records and repairs, read back in a fraction of the time of any exchange format."""

import json
import os
import tempfile
import zipfile
from pathlib import Path
from typing import Any, Final

import numpy as np
import shapely
from numpy.typing import NDArray

from geofence.coordinates import Crs
from geofence.errors import MapFormatError, MapUnavailableError
from geofence.maps.atom_map import LARGEST_FIRST, AtomMap
from geofence.maps.atoms import AtomRecord, GeometryArray, Level
from geofence.maps.repairs import Origin, Repair

SUFFIX: Final = ".map"
_FORMAT: Final = 1
_ADVICE: Final = "Import the map again."


def save_map(atoms: AtomMap, path: Path) -> None:
    """Write a map with all its levels, whole or not at all; originals of mended shapes are kept beside them."""
    arrays: dict[str, NDArray[Any]] = {}
    records: dict[str, list[list[str | None]]] = {}
    for level in LARGEST_FIRST:
        rows = atoms.records(level)
        records[level.value] = [[each.adcode, each.name_zh, each.name_en, each.parent] for each in rows]
        if rows:
            arrays[level.value] = _packed(shapely.to_wkb(atoms.layer(level).geometries, byte_order=1))
            arrays[f"{level.value}_ends"] = _ends(shapely.to_wkb(atoms.layer(level).geometries, byte_order=1))
    repairs = list(atoms.origin.repairs)
    originals = [shapely.to_wkb(each.original, byte_order=1) for each in repairs]
    arrays |= {"originals": _packed(originals), "originals_ends": _ends(originals)}
    head = {
        "format": _FORMAT, "version": atoms.version, "boundary_sigma_m": atoms.boundary_sigma_m,
        "crs": atoms.origin.crs.value, "records": records,
        "repairs": [[each.where, each.adcode, each.reason, each.area_share] for each in repairs],
    }  # fmt: skip
    arrays["head"] = np.frombuffer(json.dumps(head, ensure_ascii=False).encode(), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as made:
        try:
            np.savez_compressed(made, **arrays)  # type: ignore[arg-type]
            made.flush()
            os.fsync(made.fileno())
            Path(made.name).replace(path)
        except OSError:
            Path(made.name).unlink(missing_ok=True)
            raise


def load_map(path: Path) -> AtomMap:
    """Return a stored map, its shapes read when first needed. Raises MapUnavailableError and MapFormatError."""
    try:
        # Opened here: numpy leaves a torn file open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            head = json.loads(arrays["head"].tobytes())
            repairs = _repairs(head["repairs"], arrays["originals"], arrays["originals_ends"])
        if head["format"] != _FORMAT:
            raise MapFormatError(f"{path} is of format {head['format']}", advice=_ADVICE)
        records = {
            Level(level): [AtomRecord(code, zh, en, Level(level), parent) for code, zh, en, parent in rows]
            for level, rows in head["records"].items()
        }
        origin = Origin(Crs(head["crs"]), repairs)
        sigma = float(head["boundary_sigma_m"])
        return AtomMap(
            head["version"], records, lambda level: _shapes(path, level), boundary_sigma_m=sigma, origin=origin
        )
    except OSError as error:
        raise MapUnavailableError(f"cannot read {path}: {error.strerror or error}", advice="Check the path.") from error
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise MapFormatError(f"{path} is no stored map: {error}", advice=_ADVICE) from error


def _shapes(path: Path, level: Level) -> GeometryArray:
    with np.load(path, allow_pickle=False) as arrays:
        if level.value not in arrays:
            return np.empty(0, dtype=object)
        return np.array(shapely.from_wkb(_unpacked(arrays[level.value], arrays[f"{level.value}_ends"])), dtype=object)


def _repairs(rows: list[Any], packed: NDArray[np.uint8], ends: NDArray[np.int64]) -> list[Repair]:
    originals = [shapely.from_wkb(each, on_invalid="ignore") for each in _unpacked(packed, ends)]
    return [
        Repair(where, adcode, reason, float(share), original)
        for (where, adcode, reason, share), original in zip(rows, originals, strict=True)
    ]


def _packed(parts: Any) -> NDArray[np.uint8]:  # noqa: ANN401  bytes in a list or an array of objects
    return np.frombuffer(b"".join(parts), dtype=np.uint8)


def _ends(parts: Any) -> NDArray[np.int64]:  # noqa: ANN401  likewise
    return np.cumsum([len(each) for each in parts], dtype=np.int64)


def _unpacked(packed: NDArray[np.uint8], ends: NDArray[np.int64]) -> list[bytes]:
    whole = packed.tobytes()
    starts = [0, *ends.tolist()]
    return [whole[start:end] for start, end in zip(starts, ends.tolist(), strict=False)]
