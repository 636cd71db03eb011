"""One stock figure per site and product: what shelves sense, what scans count, and what both together say."""
