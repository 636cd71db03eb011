"""Territories from a draft to a publication: read, reported on, tried on past scans, stored for ever, drawn."""
