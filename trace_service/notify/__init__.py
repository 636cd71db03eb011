"""What people are told outside the console: mail, messages of chat robots, and the words that both use."""
