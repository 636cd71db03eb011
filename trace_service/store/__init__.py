"""Reads and writes of the trace service: SQL in named blocks, set-based, one transaction a batch."""
