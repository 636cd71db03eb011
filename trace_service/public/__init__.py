"""What strangers may ask: whether a code is one of ours, and where it leads."""
