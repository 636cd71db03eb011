"""What goes out: webhooks, messages of chat robots, mail, and the words that people are told in."""
