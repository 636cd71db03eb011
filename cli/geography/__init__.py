"""Commands about places: positions, maps, fences, territories and trips."""
