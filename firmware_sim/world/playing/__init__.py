"""A world folder played through the wire, to a running system."""
