"""The console: server-rendered pages, live updates and their assets."""
