"""Where a world lies: cities, lines between them, who goes where, and what positions are known."""
