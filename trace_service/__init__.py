"""Who may hold every item, where it is, and what to do when they differ."""
