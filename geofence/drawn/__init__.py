"""Territories as drawn polygons: their borders together with those of counties, and judged without any map."""
