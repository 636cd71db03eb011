"""Stored events found and told again: parameters, pages, documents."""
