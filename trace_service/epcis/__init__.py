"""EPCIS 2.0: documents checked and hashed, captured and queried over HTTP, and the project's own events as EPCIS."""
