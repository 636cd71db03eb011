"""Stations and shelves: read, keep, publish. Installs without any server package."""
