"""The commands of `codefence replenish`."""
