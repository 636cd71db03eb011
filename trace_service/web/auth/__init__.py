"""Who is asking: passwords, sessions and the guards on every changing request."""
