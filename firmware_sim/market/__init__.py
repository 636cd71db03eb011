"""A market with known truth: goods are packed and shipped, consumers and inspectors scan them, some are diverted."""
