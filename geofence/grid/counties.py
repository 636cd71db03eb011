"""A map's index on disk: built once, mapped into memory and shared by all processes that judge positions."""

import fcntl
import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from geofence.errors import MapFormatError, MapUnavailableError
from geofence.grid import Grid, build_grid, load_grid, save_grid
from geofence.grid.stored import mapped
from geofence.maps.atom_map import AtomMap
from geofence.maps.atoms import Level
from geofence.maps.boundary import BoundaryLines

Progress = Callable[[str], None]
_FORMAT: Final = 2


@dataclass(frozen=True, slots=True, eq=False)
class CountyIndex:
    """A grid over a map's counties, and their edges."""

    grid: Grid
    lines: BoundaryLines


def open_index(atoms: AtomMap, folder: Path, progress: Progress = lambda _: None) -> CountyIndex:
    """Return the index of a map's counties kept in `folder`, which is made where it is missing, and let the map use it.

    Processes that want the same one wait for the first to make it. One that is torn, or of another format, is made
    anew. `progress` is told each step. Raises MapUnavailableError where the folder cannot be written.
    """
    home = index_folder(atoms, folder)
    index = _found(home)
    if index is None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / f".{home.name}.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                index = _found(home)
                if index is None:
                    # Who has the old one open keeps it; nobody meets half of one.
                    shutil.rmtree(home, ignore_errors=True)
                    _make(atoms, home, progress)
        except OSError as error:
            raise MapUnavailableError(
                f"no index can be kept in {folder}: {error.strerror}", advice="Name a folder that can be written."
            ) from error
        index = index or _load(home)
    atoms.use(index.grid, index.lines)
    return index


def index_folder(atoms: AtomMap, folder: Path) -> Path:
    """Return where the index of just this map lies: another version of it never meets this one's index."""
    digest = hashlib.sha256(f"{_FORMAT} {atoms.version} {atoms.atom_count}".encode()).hexdigest()
    return folder / f"counties-{digest[:16]}"


def _make(atoms: AtomMap, home: Path, progress: Progress) -> None:
    grid = build_grid(atoms.layer(Level.COUNTY).geometries, progress)
    progress("saving the index")
    lines = atoms.lines()
    save_grid(grid, home, {"line_ends": lines.ends, "line_left": lines.left, "line_right": lines.right})


def _found(home: Path) -> CountyIndex | None:
    try:
        return _load(home)
    except (MapUnavailableError, MapFormatError):
        return None


def _load(home: Path) -> CountyIndex:
    grid = load_grid(home)
    try:
        lines = BoundaryLines(*(mapped(home, f"line_{name}") for name in ("ends", "left", "right")))
    except (FileNotFoundError, ValueError, EOFError) as error:
        raise MapFormatError(
            f"the index in {home} cannot be read: {error}", advice="Delete it: it is made anew."
        ) from error
    return CountyIndex(grid, lines)
