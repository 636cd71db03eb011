"""How often honest customers carry a dealer's goods to a foreign city, fitted weekly to the brand's own traffic.

Poisson regression with factors that are shrunk and leave out the dealer in question, so that no diverter can hide in
a baseline of its own making. One table for each kind of position: what a carrier's gateway does to addresses is no
matter of GPS. docs/detection.md has the formula.
"""

import hashlib
from typing import Final

import numpy as np

from trace_service.detection.geometry import Geometry
from trace_service.detection.network import FloatArray
from trace_service.detection.placing import KINDS, Kind

# Cold start: gravity, with a fifth of what is seen being foreign; the regression moves away from it as counts allow.
_PRIOR: Final = np.array([0.0, 0.7, -0.9, -0.2, 0.3, 0.5, 0.0])
_PRIOR_DEVIATION: Final = np.array([1.5, 0.4, 0.5, 0.4, 0.5, 0.7, 0.5])
_FOREIGN: Final = {Kind.GPS: 0.2, Kind.IP: 0.25, Kind.STORE: 0.004}
# The rest of a city of which a county is the dealer's own: never less than this.
_NEXT_DOOR: Final = {Kind.GPS: 0.03, Kind.IP: 0.03, Kind.STORE: 0.002}
# Counts above this and far above expectation are as likely an attack as a habit.
_WINSOR: Final = 4.0
_STEPS: Final = 6
_GATEWAY_SHRINK: Final = 0.3
_SMALLEST: Final = 1e-6
_LARGEST: Final = 0.5


class Baseline:
    """p[kind, dealer, city]: the share of a dealer's located cases that honest customers show in a foreign city.

    Nothing before `fit`.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        dealers, cities = geometry.home.shape
        self.share: FloatArray = np.zeros((KINDS, dealers, cities))
        self.coefficients: FloatArray = np.tile(_PRIOR, (KINDS, 1))
        self._foreign = ~geometry.home
        open_rows = self._foreign.any(axis=1)
        self._rows = np.flatnonzero(open_rows)
        raw = np.exp(geometry.features @ _PRIOR) * self._foreign
        total = raw.sum() / max(1, len(self._rows))
        for kind in Kind:
            self.coefficients[kind, 0] = np.log(_FOREIGN[kind] / max(total, 1e-12))
        self.prior = self.coefficients.copy()
        self.snapshot = "none"

    def fit(self, seen: FloatArray, located: FloatArray) -> None:
        """Fit to foreign cases `seen` (kind, dealer, city) among all `located` ones (kind, dealer)."""
        for kind in Kind:
            self._fit_kind(kind, seen[kind], located[kind])
        digest = hashlib.sha256(np.round(self.coefficients, 9).tobytes())
        digest.update(np.round(self.share, 12).tobytes())
        self.snapshot = digest.hexdigest()[:12]

    def _fit_kind(self, kind: Kind, seen: FloatArray, located: FloatArray) -> None:
        features = self.geometry.features
        exposure = located[:, None] * self._foreign
        expected = exposure * np.exp(np.clip(features @ self.coefficients[kind], -30, 2))
        capped = np.minimum(seen, _WINSOR + 2 * expected) * self._foreign
        self._regress(kind, capped, exposure)
        base = np.exp(np.clip(features @ self.coefficients[kind], -30, 0)) * self._foreign
        expected = located[:, None] * base
        capped = np.minimum(seen, _WINSOR + 2 * expected) * self._foreign
        factor = np.ones_like(base)
        for groups in (self._by_city, self._by_dealer, self._by_region, self._by_corridor):
            factor *= groups(capped, expected * factor)
        if kind is Kind.IP:
            factor *= self._by_gateway(seen, expected * factor)
        next_door = self.geometry.part & self._foreign
        self.share[kind] = np.maximum(np.clip(base * factor, _SMALLEST, _LARGEST), _NEXT_DOOR[kind] * next_door)

    def _regress(self, kind: Kind, seen: FloatArray, exposure: FloatArray) -> None:
        """Newton's method on the penalised likelihood; cells without exposure say nothing."""
        open_cells = exposure > 0
        if not open_cells.any():
            return
        matrix, counts, weights = self.geometry.features[open_cells], seen[open_cells], exposure[open_cells]
        precision = 1 / _PRIOR_DEVIATION**2
        beta = self.coefficients[kind].copy()
        for _ in range(_STEPS):
            mean = weights * np.exp(np.clip(matrix @ beta, -30, 2))
            gradient = matrix.T @ (counts - mean) - precision * (beta - self.prior[kind])
            curvature = (matrix * mean[:, None]).T @ matrix + np.diag(precision)
            step = np.clip(np.linalg.solve(curvature, gradient), -1, 1)
            beta += step
            if np.abs(step).max() < 1e-5:  # noqa: PLR2004  # converged
                break
        self.coefficients[kind] = beta

    def _by_city(self, seen: FloatArray, expected: FloatArray) -> FloatArray:
        return _factor(seen.sum(axis=0) - seen, expected.sum(axis=0) - expected, 6.0)

    def _by_dealer(self, seen: FloatArray, expected: FloatArray) -> FloatArray:
        return _factor(seen.sum(axis=1)[:, None] - seen, expected.sum(axis=1)[:, None] - expected, 4.0)

    def _by_region(self, seen: FloatArray, expected: FloatArray) -> FloatArray:
        """Corridors between provinces, seen in the dealers of the same province but the one in question."""
        totals = [self._others(self.geometry.into(counts)) for counts in (seen, expected)]
        return _factor(totals[0], totals[1], 6.0)[:, self.geometry.city_province]

    def _by_corridor(self, seen: FloatArray, expected: FloatArray) -> FloatArray:
        """Flows from one province into one city: migration, gateways of carriers."""
        return _factor(self._others(seen), self._others(expected), 1.5)

    def _by_gateway(self, seen: FloatArray, expected: FloatArray) -> FloatArray:
        """Addresses of one home city that a carrier shows elsewhere: dealers with a common city share the fate."""
        home = self.geometry.part.astype(np.float64)
        small = home.sum(axis=1) < home.shape[1] / 2
        common = ((home @ home.T) > 0) & small[:, None] & small[None, :]
        np.fill_diagonal(common, val=False)
        both = common.astype(np.float64)
        return np.maximum(1.0, _factor(both @ (seen * self._foreign), both @ expected, _GATEWAY_SHRINK))

    def _others(self, counts: FloatArray) -> FloatArray:
        """Return for each dealer the sum over the other dealers of the same province."""
        found: FloatArray = self.geometry.outof(counts)[self.geometry.dealer_province] - counts
        return found


def _factor(seen: FloatArray, expected: FloatArray, shrink: float) -> FloatArray:
    found: FloatArray = (seen + shrink) / (expected + shrink)
    return found
