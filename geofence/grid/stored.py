"""A grid in a folder: arrays that are mapped into memory, shared by all processes that read them."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from geofence.errors import MapFormatError, MapUnavailableError
from geofence.grid.edges import ragged
from geofence.grid.frame import Frame
from geofence.grid.index import Cells, Grid
from geofence.grid.sets import Covering, PolygonSets
from geofence.maps.atoms import GeometryArray

_FORMAT = 2
_HEAD = "grid.json"


def save_grid(grid: Grid, folder: Path, more: Mapping[str, NDArray[Any]] = MappingProxyType({})) -> None:
    """Write a grid as a new folder, which appears whole or not at all; `more` are arrays to lie beside it.

    Raises FileExistsError where it exists.
    """
    if folder.exists():
        raise FileExistsError(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        for name, array in (_arrays(grid) | dict(more)).items():
            np.save(made / f"{name}.npy", array)
        (made / _HEAD).write_text(json.dumps({"format": _FORMAT, "frame": asdict(grid.frame)}), "utf-8")
        made.rename(folder)
    except OSError:
        shutil.rmtree(made, ignore_errors=True)
        raise


def load_grid(folder: Path) -> Grid:
    """Return a stored grid, read as it is needed.

    Raises MapUnavailableError where there is none, MapFormatError where it was written by another version or is torn.
    """
    try:
        head = json.loads((folder / _HEAD).read_text("utf-8"))
        if head["format"] != _FORMAT:
            raise MapFormatError(f"{folder} is of format {head['format']}", advice="Build the index again.")
        arrays = {each.name: mapped(folder, each.name) for each in fields(Cells)}
        cells = Cells(**arrays)
        keys, starts, members = (np.load(folder / f"set_{name}.npy") for name in ("keys", "starts", "members"))
        sets = PolygonSets(Covering(lambda: _polygons(folder)), keys, starts, members)
        return Grid(Frame(**head["frame"]), cells, sets)
    except FileNotFoundError as error:
        raise MapUnavailableError(f"no index in {folder}", advice="Build it first.") from error
    except (ValueError, KeyError, TypeError, EOFError) as error:
        raise MapFormatError(f"the index in {folder} cannot be read: {error}", advice="Build it again.") from error


def _arrays(grid: Grid) -> dict[str, NDArray[Any]]:
    cells = {each.name: getattr(grid.cells, each.name) for each in fields(Cells)}
    sets = grid.sets.settled()
    points, rings, polygons, shapes = ragged(sets.covering.geometries)
    cells |= {"points": points, "rings": rings, "polygons": polygons, "shapes": shapes}
    return cells | {"set_keys": sets.keys, "set_starts": sets.starts, "set_members": sets.members}


def mapped(folder: Path, name: str) -> NDArray[Any]:
    """Return an array of a stored grid, read as it is needed. Raises FileNotFoundError or ValueError."""
    array: NDArray[Any] = np.load(folder / f"{name}.npy", mmap_mode="r")
    return np.asarray(array)  # a plain view of the mapping: the subclass costs time at every access


def _polygons(folder: Path) -> GeometryArray:
    points, *offsets = (np.load(folder / f"{name}.npy") for name in ("points", "rings", "polygons", "shapes"))
    found: GeometryArray = shapely.from_ragged_array(shapely.GeometryType.MULTIPOLYGON, points, tuple(offsets))
    return found
