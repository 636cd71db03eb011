"""Fault rounds on real processes: everything is killed, cut, filled up and lied to, and then every event is counted."""
