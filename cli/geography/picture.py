"""A position, its error and the border beside it, as an SVG."""

from html import escape
from typing import Final

import numpy as np
import shapely
from shapely import affinity
from shapely.geometry.base import BaseGeometry

from geofence.finding import Finding, Place
from geofence.geometry.metric import metres_per_degree

_SIDE: Final = 640
_HEAD: Final = 56
# How much of the land is shown, in standard deviations on each side.
_SIGMAS: Final = 5.0
_LEAST_M: Final = 50.0
_STYLE: Final = (
    "text{font:14px sans-serif;fill:#222}.land{fill:#cfe3d4;stroke:#2f6b3f;stroke-width:2}"
    ".ring{fill:#c0392b;fill-opacity:.1;stroke:#c0392b;stroke-dasharray:4 3}.spot{fill:#c0392b}"
    ".scale{stroke:#222;stroke-width:2}"
)


def picture(finding: Finding, area: BaseGeometry) -> str:
    """Return an SVG of a territory around a finding's place, north up, with circles of one, two and four sigmas."""
    place = finding.place
    if place is None:
        raise ValueError("a finding without a place cannot be drawn")
    unit = place.radius_m or place.sigma_m
    span = max(
        _SIGMAS * unit, _LEAST_M, 1.2 * min(abs(finding.signed_distance_m or 0.0), 20 * _SIGMAS * max(unit, 10.0))
    )
    scale = _SIDE / 2 / span
    rings = (1.0,) if place.radius_m else (1.0, 2.0, 4.0)
    circles = "".join(
        f'<circle class="ring" cx="{_SIDE / 2}" cy="{_SIDE / 2}" r="{each * unit * scale:.1f}"/>'
        for each in rings
        if unit
    )
    p_inside = "–" if finding.p_inside is None else f"{finding.p_inside:.4f}"
    dealer = finding.territory_version.dealer if finding.territory_version else "–"
    head = f"{dealer}: {finding.verdict.value}, p = {p_inside}"
    metres = finding.signed_distance_m or 0.0
    detail = f"sigma {unit:,.0f} m; {abs(metres):,.0f} m {'within' if metres < 0 else 'outside'} the border"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_SIDE} {_SIDE + _HEAD}" role="img">'
        f"<title>{escape(head)}</title><style>{_STYLE}</style>"
        f'<rect width="{_SIDE}" height="{_SIDE + _HEAD}" fill="#fff"/>'
        f'<text x="12" y="22" font-weight="bold">{escape(head)}</text><text x="12" y="44">{escape(detail)}</text>'
        f'<svg y="{_HEAD}" width="{_SIDE}" height="{_SIDE}" overflow="hidden">'
        f'<rect width="{_SIDE}" height="{_SIDE}" fill="#f3f1ec"/>'
        f'<path class="land" fill-rule="evenodd" d="{_path(area, place, span, scale)}"/>{circles}'
        f'<circle class="spot" cx="{_SIDE / 2}" cy="{_SIDE / 2}" r="4"/>{_bar(span, scale)}</svg></svg>\n'
    )


def _path(area: BaseGeometry, place: Place, span: float, scale: float) -> str:
    """Return the part of an area that is in sight, in pixels."""
    east, north = (float(each) for each in metres_per_degree(np.array(place.lat)))
    margin = 1.1 * span
    box = (place.lon - margin / east, place.lat - margin / north, place.lon + margin / east, place.lat + margin / north)
    seen = shapely.intersection(area, shapely.box(*box))
    matrix = (
        east * scale, 0, 0, -north * scale,
        _SIDE / 2 - place.lon * east * scale, _SIDE / 2 + place.lat * north * scale,
    )  # fmt: skip
    moved = affinity.affine_transform(seen, matrix)
    rings = [
        ring
        for part in shapely.get_parts(moved)
        if part.geom_type == "Polygon"
        for ring in (part.exterior, *part.interiors)
    ]
    return "".join("M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in ring.coords) + "Z" for ring in rings)


def _bar(span: float, scale: float) -> str:
    """Return a scale bar of a round length, about a quarter of the width."""
    metres = next(
        (each * 10.0**power for power in range(7) for each in (1, 2, 5) if each * 10.0**power >= span / 3), span / 2
    )
    y, right = _SIDE - 20, 20 + metres * scale
    label = f"{metres / 1000:g} km" if metres >= 1000 else f"{metres:g} m"  # noqa: PLR2004  metres of a kilometre
    return f'<path class="scale" d="M20,{y}H{right:.1f}"/><text x="20" y="{y - 8}">{label}</text>'
