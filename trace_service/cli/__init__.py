"""The commands of `codefence trace`."""
