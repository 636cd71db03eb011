"""The engine on live data: what is told to it, in which order, its network and its snapshots."""
