"""What the worker does with a batch of claimed work, in the caller's transaction."""
