"""The commands of `codefence codes`."""
