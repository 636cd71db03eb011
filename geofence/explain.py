"""A finding step by step, as data: what was known, how far it may be wrong, what was compared, what follows."""

from dataclasses import dataclass
from enum import StrEnum
from math import isfinite
from typing import TypeAlias

from geofence.finding import Finding
from geofence.geometry.disc import REACH

Value: TypeAlias = str | float | bool | list[str] | None


class StepCode(StrEnum):
    """What a step is about; the interface has the words."""

    EVIDENCE = "evidence"
    ERROR = "error"
    COUNTY = "county"
    TERRITORY = "territory"
    BORDER = "border"
    PROBABILITY = "probability"
    VERDICT = "verdict"
    OTHERS = "others"


@dataclass(frozen=True, slots=True)
class Step:
    """One step with its numbers: metres, WGS-84 degrees, ISO 8601 times; None where there is none."""

    code: StepCode
    values: dict[str, Value]


def explain(finding: Finding) -> tuple[Step, ...]:
    """Return the steps that led to a finding, in their order; those that had nothing to go by are left out."""
    steps: list[tuple[StepCode, dict[str, Value]]] = [
        (StepCode.EVIDENCE, _evidence(finding)),
        (StepCode.ERROR, _error(finding)),
        (StepCode.COUNTY, {"adcode": finding.owner_atom, "map_version": finding.map_version}),
        (StepCode.TERRITORY, _territory(finding)),
        (StepCode.BORDER, _border(finding)),
        (StepCode.PROBABILITY, {} if finding.p_inside is None else {"p_inside": finding.p_inside}),
        (StepCode.VERDICT, _verdict(finding)),
        (StepCode.OTHERS, _others(finding)),
    ]
    return tuple(Step(code, values) for code, values in steps if values)


def _evidence(finding: Finding) -> dict[str, Value]:
    found: dict[str, Value] = {"kind": finding.evidence.value}
    if finding.place is not None:
        found |= {"lon": finding.place.lon, "lat": finding.place.lat}
    return found


def _error(finding: Finding) -> dict[str, Value]:
    place = finding.place
    if place is None:
        return {}
    if place.radius_m:
        return {"radius_m": place.radius_m}
    parts = {"device_m": place.device_m, "boundary_m": place.boundary_m, "crs_m": place.crs_m}
    return {**parts, "sigma_m": place.sigma_m}


def _territory(finding: Finding) -> dict[str, Value]:
    version = finding.territory_version
    if version is None:
        return {"sha256": None}
    return {
        "dealer": version.dealer,
        "sha256": version.sha256,
        "valid_from": version.valid_from.isoformat(),
        "valid_to": version.valid_to.isoformat() if version.valid_to else None,
        "recorded_at": version.recorded_at.isoformat(),
        "divisions": float(len(version.adcodes)),
        "drawn": version.polygon is not None,
    }


def _border(finding: Finding) -> dict[str, Value]:
    metres, place = finding.signed_distance_m, finding.place
    if metres is None or place is None:
        return {}
    reach = place.radius_m or REACH * place.sigma_m
    return {
        "signed_distance_m": metres if isfinite(metres) else None,
        "reach_m": reach,
        "reached": abs(metres) < reach,
    }


def _verdict(finding: Finding) -> dict[str, Value]:
    return {
        "verdict": finding.verdict.value,
        "inside_at": finding.policy.inside_at,
        "outside_at": finding.policy.outside_at,
        "reasons": [each.code.value for each in finding.reasons],
    }


def _others(finding: Finding) -> dict[str, Value]:
    nearest = finding.nearest_legal
    if nearest is None:
        return {}
    return {"legal_dealers": list(finding.legal_dealers), "nearest": nearest.dealer, "metres": nearest.metres}
