"""Stock per site and product, and what to order."""
