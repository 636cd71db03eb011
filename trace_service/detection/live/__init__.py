"""The engine on live data: what is told to it, its log, and what it says."""
