"""A real database and a real broker from wheels, and the supervisor that watches them."""
