"""What an alert says of itself, computed from what it was raised with."""
