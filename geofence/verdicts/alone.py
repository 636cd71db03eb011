"""Drawn polygons without any map: each is the territory of a dealer of its own."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

import numpy as np
from shapely.geometry.base import BaseGeometry

from geofence.errors import TerritoryError
from geofence.evidence import Evidence
from geofence.finding import Finding, ReasonCode
from geofence.maps.atom_map import AtomMap
from geofence.territory import Query, TerritoryBook, TerritoryVersion
from geofence.verdicts.check import check

_EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)


def judged_alone(shapes: Mapping[str, BaseGeometry], asked: str, evidence: Evidence) -> Finding:
    """Return what is found of a position and the polygon `asked`, the other polygons being other dealers'.

    Nothing but the evidence's own error counts: a drawn border has none. Raises TerritoryError for an unknown id.
    """
    if asked not in shapes:
        raise TerritoryError(f"no feature has the id {asked!r}", advice=f"There are: {', '.join([*shapes][:20])}")
    nowhere = AtomMap("drawn", {}, lambda _: np.empty(0, dtype=object), boundary_sigma_m=0.0)
    versions = [
        TerritoryVersion(dealer=name, adcodes=(), polygon=shape, valid_from=_EVER, recorded_at=_EVER)
        for name, shape in shapes.items()
    ]
    finding = check(TerritoryBook(nowhere, versions), Query(asked, _EVER, _EVER), evidence)
    return replace(finding, reasons=tuple(each for each in finding.reasons if each.code is not ReasonCode.OFF_MAP))
