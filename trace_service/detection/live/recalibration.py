"""The calibration that a brand uses: the shipped one, until reviewed outcomes make a better one."""

from datetime import datetime
from typing import Any, Final

import msgspec
import structlog
from psycopg.types.json import Jsonb

from trace_service.cases.machine import Outcome
from trace_service.cases.outcomes import outcomes
from trace_service.detection.calibration import FEATURES, Calibration, Model
from trace_service.detection.live.queries import SQL
from trace_service.detection.refitting import Decision, Label, Proposal, propose
from trace_service.store.connection import Connection
from trace_service.store.locks import lock

_NIGHTLY: Final = "nightly"

log = structlog.get_logger(__name__)


class _Models(msgspec.Struct):
    """What is stored of a calibration."""

    cell: Model
    claim: Model


def current(connection: Connection, brand: str) -> Calibration:
    """Return the calibration that a brand's alerts are judged by: its newest adopted one, or the shipped one."""
    shipped = Calibration()
    row = connection.execute(SQL["calibration"], {"brand": brand, "shipped": shipped.version}).fetchone()
    if row is None:
        return shipped
    models = msgspec.convert(row.models, _Models)
    return Calibration(row.version, models.cell, models.claim)


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
        labels, newest = _labels(connection, brand, shipped.version)
        if newest is None:
            return None
        number = connection.execute(SQL["next_calibration"], {"brand": brand}).fetchall()[0].number
        found = propose(labels, f"{shipped.version}.{number}", shipped)
        connection.execute(
            SQL["insert_calibration"],
            {
                "brand": brand, "number": number, "actor": actor, "version": f"{shipped.version}.{number}",
                "shipped": shipped.version, "decision": found.decision.value, "cases": found.cases,
                "confirmed": found.confirmed, "newest": newest, "loss_before": found.loss_before,
                "loss_after": found.loss_after, "models": _stored(found.calibration),
            },
        )  # fmt: skip
    return found


def _labels(connection: Connection, brand: str, shipped: str) -> tuple[list[Label], datetime | None]:
    """Return what was decided of alerts that this calibration's features were computed for, and when last."""
    found: list[Label] = []
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
    return found, newest


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
    return Jsonb(msgspec.to_builtins(_Models(calibration.cell, calibration.claim)))
