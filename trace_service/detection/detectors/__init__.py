"""The detectors: each one way of finding an attack."""
