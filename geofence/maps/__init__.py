"""Administrative maps: atoms with codes and names, found by code or by position."""

from geofence.maps.atom_map import AtomMap, Mainland
from geofence.maps.atoms import Atom, AtomRecord, Level
from geofence.maps.geojson import load_geojson
from geofence.maps.tianditu import load_installed_map

__all__ = ["Atom", "AtomMap", "AtomRecord", "Level", "Mainland", "load_geojson", "load_installed_map"]
