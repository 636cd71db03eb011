"""The rules, pure: no database, no web framework, no clock."""
