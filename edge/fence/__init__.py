"""The signed fence on a device: kept on disk, trusted only with its signature, asked in microseconds."""

from edge.fence.held import HeldFence
from edge.fence.store import FenceStore

__all__ = ["FenceStore", "HeldFence"]
