"""The JSON API of the trace service, under /api/v1."""
