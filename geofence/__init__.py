"""May this be here? Coordinates, maps, territories and the check. A pure library."""
