"""Smart shelves: weights to units, cameras to facings, climate to alarms, all through the outbox."""
