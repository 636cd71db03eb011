"""One brand's territories and dealers over the map, as they were recorded."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from geofence.finding import DEFAULT_POLICY, Finding, Policy
from geofence.maps import Level
from geofence.territory import Query, TerritoryBook


@dataclass(frozen=True)
class BrandBook:
    """`version_ids` finds a version's row by its SHA-256; `levels` are the dealers' depths in the tree.

    `lines` are the product lines by GTIN, of the products that belong to one; `policy` are the thresholds that the
    brand has set.
    """

    territories: TerritoryBook
    version_ids: Mapping[str, int]
    levels: Mapping[str, int]
    lines: Mapping[str, str] = field(default_factory=dict)
    policy: Policy = DEFAULT_POLICY

    def query(self, dealer: str, gtin: str, valid_at: datetime, known_at: datetime) -> Query:
        """Return the question whose territory of a dealer counts for a product at a moment."""
        return Query(dealer, valid_at, known_at, product_line=self.lines.get(gtin))

    def nearest_legal(self, finding: Finding) -> dict[str, Any] | None:
        """Return the dealer entitled to sell there, the deepest of the tree, or else the nearest; and its distance."""
        if finding.legal_dealers:
            dealer = max(finding.legal_dealers, key=lambda each: (self.levels.get(each, 0), each))
            return {"dealer": dealer, "metres": 0.0}
        nearest = finding.nearest_legal
        return {"dealer": nearest.dealer, "metres": nearest.metres} if nearest else None

    def home(self, dealer: str, moment: datetime) -> tuple[frozenset[str], tuple[float, float]] | None:
        """Return the counties in which a dealer may sell and their middle, WGS-84 degrees; None without a territory."""
        version = self.territories.in_force(Query(dealer, moment, moment))
        if version is None:
            return None
        mask = self.territories.mask(version)
        if not mask.any():
            return None
        atoms = self.territories.atoms
        bounds = atoms.layer(Level.COUNTY).bounds[mask]
        west, south, east, north = bounds.mean(axis=0).tolist()
        return frozenset(atoms.codes_of(mask)), ((west + east) / 2, (south + north) / 2)
