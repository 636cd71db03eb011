"""Smart shelves: controllers to weights, weights to units, cameras to facings, climate to alarms, all by the outbox."""
