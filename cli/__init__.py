"""The `codefence` command."""
