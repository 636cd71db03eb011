"""Devices emulated at wire level, and a market with known truth."""
