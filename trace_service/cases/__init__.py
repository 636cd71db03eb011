"""Cases: alerts that belong together, the work on them, and how they end."""
