"""Verdicts on where scans were: one at a time with reasons, or whole columns at once."""
