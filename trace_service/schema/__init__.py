"""The database schema and its migrations: this package is the sole owner of DDL."""
