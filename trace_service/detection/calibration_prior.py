"""The coefficients that are shipped, in the order of `calibration.FEATURES`; written by `benchmarks/detection.py`."""

VERSION = "0"
CELL = (-4.0, 0.3, 0.1, 0.1, 0.1, 0.0, 0.0, 0.0, 0.2, 0.0)
CELL_COVARIANCE = tuple(tuple(1.0 if row == column else 0.0 for column in range(10)) for row in range(10))
CLAIM = (-4.0, 0.3, 0.1, 0.1, 0.1, 0.0, 0.0, 0.0, 0.2, 0.0)
CLAIM_COVARIANCE = CELL_COVARIANCE
