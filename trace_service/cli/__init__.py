"""The commands of `codefence trace`, and what the service's other commands share."""
