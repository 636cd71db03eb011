"""The signed manifest at a station: kept on disk, trusted only with its signature, looked up in microseconds."""

from edge.manifest.index import Found, Manifest
from edge.manifest.store import ManifestStore

__all__ = ["Found", "Manifest", "ManifestStore"]
