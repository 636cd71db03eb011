"""An exact index for "which of these polygons cover this point?", millions of points a second on one core."""

from geofence.grid.build import build_grid
from geofence.grid.index import Grid
from geofence.grid.stored import load_grid, save_grid

__all__ = ["Grid", "build_grid", "load_grid", "save_grid"]
