"""Many devices in one process, at wire level: a fleet, and what a broken device does to others."""
