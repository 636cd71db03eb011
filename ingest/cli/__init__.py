"""The commands of `codefence ingest`, and `codefence audit`."""
