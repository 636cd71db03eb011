"""Metres on the ellipsoid, discs of error, polygons as people draw them, and borders."""
