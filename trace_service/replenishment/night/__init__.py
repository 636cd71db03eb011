"""The nightly run: from demand and stock to water lines, a dated plan, and proposals of every kind."""
