"""What is claimed to be fast, beside its obvious alternatives."""
