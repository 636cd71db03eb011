"""The calibration that a brand uses: the shipped one, until reviewed outcomes make a better one."""

from datetime import datetime
from typing import Any, Final

import msgspec
import structlog
from msgspec import structs
from psycopg.types.json import Jsonb

from trace_service.cases.machine import Outcome
from trace_service.cases.outcomes import outcomes
from trace_service.detection.calibration import FEATURES, ON_RECORD, Calibration, Model, Rate
from trace_service.detection.live.queries import SQL
from trace_service.detection.refitting import Decision, Label, Proposal, Review, propose, rates
from trace_service.store.connection import Connection
from trace_service.store.locks import lock

_NIGHTLY: Final = "nightly"

log = structlog.get_logger(__name__)


class _Models(msgspec.Struct):
    """What is stored of a calibration."""

    cell: Model
    claim: Model
    on_record: dict[str, Rate] = msgspec.field(default_factory=lambda: dict(ON_RECORD))


def current(connection: Connection, brand: str) -> Calibration:
    """Return the calibration that a brand's alerts are judged by: its newest adopted one, or the shipped one."""
    shipped = Calibration()
    row = connection.execute(SQL["calibration"], {"brand": brand, "shipped": shipped.version}).fetchone()
    if row is None:
        return shipped
    models = msgspec.convert(row.models, _Models)
    return Calibration(row.version, models.cell, models.claim, models.on_record)


def recalibrate_due(connection: Connection) -> list[str]:
    """Refit every brand that has new outcomes and was not refitted today; return those with a new calibration."""
    rows = connection.execute(SQL["brands_to_recalibrate"]).fetchall()
    adopted = []
    for (brand,) in rows:
        found = recalibrate(connection, brand, _NIGHTLY)
        if found is None:
            continue
        log.info(
            "the calibration was fitted to outcomes", action="calibration.refit", brand=brand,
            decision=found.decision.value, cases=found.cases, loss_before=found.loss_before,
            loss_after=found.loss_after,
        )  # fmt: skip
        if found.decision is Decision.ADOPTED:
            adopted.append(brand)
    return adopted


def recalibrate(connection: Connection, brand: str, actor: str) -> Proposal | None:
    """Refit a brand's calibration to all its reviewed outcomes and record what came of it; None without outcomes."""
    shipped = Calibration()
    with connection.transaction():
        lock(connection, {f"calibration {brand}"})
        labels, reviews, newest = _labels(connection, brand, shipped.version)
        if newest is None:
            return None
        number = connection.execute(SQL["next_calibration"], {"brand": brand}).fetchall()[0].number
        version = f"{shipped.version}.{number}"
        present = structs.replace(current(connection, brand), version=version)
        found = _with_rates(propose(labels, version, shipped), reviews, present)
        connection.execute(
            SQL["insert_calibration"],
            {
                "brand": brand, "number": number, "actor": actor, "version": version,
                "shipped": shipped.version, "decision": found.decision.value, "cases": found.cases,
                "confirmed": found.confirmed, "newest": newest, "loss_before": found.loss_before,
                "loss_after": found.loss_after, "models": _stored(found.calibration),
            },
        )  # fmt: skip
    return found


def _with_rates(found: Proposal, reviews: list[Review], present: Calibration) -> Proposal:
    """Return a proposal with the rates of claims on papers and registers; they may be adopted beside present models."""
    fitted = found.calibration or present
    on_record = rates(reviews, ON_RECORD)
    if on_record == ON_RECORD:
        return found
    told = {each.case: each.confirmed for each in reviews}
    return structs.replace(
        found,
        decision=Decision.ADOPTED,
        cases=found.cases + len(told),
        confirmed=found.confirmed + sum(told.values()),
        calibration=structs.replace(fitted, on_record=on_record),
    )


def _labels(connection: Connection, brand: str, shipped: str) -> tuple[list[Label], list[Review], datetime | None]:
    """Return what was decided: of alerts with features of this calibration, of those on record; and when last."""
    found: list[Label] = []
    reviews: list[Review] = []
    newest = None
    for each in outcomes(connection, brand):
        newest = each["closed_at"]
        if each["outcome"] == Outcome.UNRESOLVED:
            continue
        inputs = [_inputs(alert["reason"], shipped) for alert in each["alerts"] or ()]
        weight = 1 / each["selection_probability"]
        found += [
            Label(case=each["case"], inputs=row, confirmed=each["confirmed"], weight=weight) for row in inputs if row
        ]
        reviews += [
            Review(case=each["case"], detector=detector, confirmed=each["confirmed"], weight=weight)
            for alert in each["alerts"] or ()
            if (detector := str(alert["reason"].get("code"))) in ON_RECORD
        ]
    return found, reviews, newest


def _inputs(reason: dict[str, Any], shipped: str) -> tuple[float, ...] | None:
    """Return the features of an alert's reason, None where it has none or those of another version."""
    version = str(reason.get("versions", {}).get("calibration", ""))
    row = reason.get("parameters", {}).get("features")
    if version.partition(".")[0] != shipped or not isinstance(row, list) or len(row) != len(FEATURES):
        return None
    return tuple(float(each) for each in row)


def _stored(calibration: Calibration | None) -> Jsonb | None:
    if calibration is None:
        return None
    models = _Models(calibration.cell, calibration.claim, dict(calibration.on_record))
    return Jsonb(msgspec.to_builtins(models))
