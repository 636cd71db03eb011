"""The maps that can be named: installed packages, and files that were imported."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

from geofence.coordinates import Crs
from geofence.errors import MapUnavailableError
from geofence.maps import cnmaps, tianditu
from geofence.maps.atom_map import AtomMap
from geofence.maps.map_file import SUFFIX, load_map


@dataclass(frozen=True, slots=True)
class Source:
    """A map by name: the package that has it, what it draws, in which system, and under which licence."""

    name: str
    distribution: str
    draws: str
    crs: Crs
    licence: str
    load: Callable[[], AtomMap]

    @property
    def version(self) -> str | None:
        """The version of the installed package, None where it is missing."""
        try:
            return metadata.version(self.distribution)
        except metadata.PackageNotFoundError:
            return None


DEFAULT_MAP: Final = "tianditu"
SOURCES: Final = (
    Source(
        "tianditu", tianditu.DISTRIBUTION, "provinces, cities and counties of China", Crs.WGS84,
        "package MIT, data of Tianditu: read in place", tianditu.load_installed_map,
    ),
    Source(
        "amap", cnmaps.DISTRIBUTION, "provinces, cities and counties of China", Crs.GCJ02,
        "package MIT, data of Amap: read in place", cnmaps.load_amap,
    ),
    Source(
        "world", cnmaps.DISTRIBUTION, "countries of the world", Crs.WGS84,
        "package MIT, data of Natural Earth, the World Bank and Amap: read in place", cnmaps.load_world,
    ),
)  # fmt: skip


def open_map(name: str) -> AtomMap:
    """Return an installed map by name, or a stored one by its path. Raises MapUnavailableError and MapFormatError."""
    for source in SOURCES:
        if source.name == name:
            return source.load()
    if name.endswith(SUFFIX):
        return load_map(Path(name))
    known = ", ".join(source.name for source in SOURCES)
    raise MapUnavailableError(f"no map is called {name!r}", advice=f"There are {known}, and files *{SUFFIX}.")
