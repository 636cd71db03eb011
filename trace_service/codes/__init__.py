"""Item codes: issuing batches of them, and telling what a scanned one is."""
