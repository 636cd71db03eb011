"""What the worker does with claimed work, and with what a brand's engine says of it, in the caller's transaction."""
