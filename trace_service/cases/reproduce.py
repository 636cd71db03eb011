"""Every figure of an alert computed again from what is stored with it. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from contracts.errors import CodefenceError
from trace_service.detection.explaining.explanation import explain, facts_stored
from trace_service.detection.explaining.recount import recount
from trace_service.detection.explaining.stored import UNREADABLE, kept_by
from trace_service.detection.explaining.tally import within

# Stored figures have three or four digits.
_AGREES: Final = 0.002


class FiguresError(CodefenceError):
    """An alert whose figures follow from nothing, since what is stored with it has another form."""

    code = "FIGURES_UNREADABLE"


class OtherVersionError(FiguresError):
    """An alert that another version of the program kept: only that one can compute its figures."""

    code = "FIGURES_OF_OTHER_VERSION"


class Figure(NamedTuple):
    """One figure as the alert states it and as it is computed; `computed` is None where it rests on records alone."""

    alert: int
    detector: str
    name: str
    stated: float | None
    computed: float | None
    within: float = _AGREES

    @property
    def agrees(self) -> bool:
        """Whether both are the same, as far as figures are stored."""
        if self.computed is None or self.stated is None:
            return True
        return abs(self.stated - self.computed) <= max(self.within, abs(self.stated) * 1e-4)


def reproduced(rows: Iterable[Mapping[str, Any]]) -> Iterator[Figure]:
    """Yield the figures of stored alerts: mappings with `id`, `reason`, `probability` and `material`.

    Raises `FiguresError` for an alert that is stored in a form which no engine writes, `OtherVersionError` for one
    that another version kept.
    """
    for row in rows:
        try:
            found = list(_figures(row))
            agree = all(each.agrees for each in found)
        except UNREADABLE as error:
            raise _refused(row, error) from error
        if not agree and kept_by(row["reason"], row["material"]) != "damaged":
            raise _refused(row, None)
        yield from found


def _refused(row: Mapping[str, Any], error: Exception | None) -> FiguresError:
    number = row.get("id") if isinstance(row, Mapping) else row
    by = kept_by(row.get("reason") or {}, row.get("material")) if isinstance(row, Mapping) else "damaged"
    if by in ("older", "newer"):
        return OtherVersionError(
            f"alert {number} was kept by a version that is {by} than this one",
            advice="Compute its figures with the version that raised it; its settings are named among its versions.",
        )
    return FiguresError(
        f"what is stored with alert {number} cannot be computed from: {error}",
        advice="Use the version that wrote it; if it cannot read it either, distrust the alert.",
    )


def _figures(row: Mapping[str, Any]) -> Iterator[Figure]:
    facts = facts_stored(row["reason"], row["probability"], row["material"])
    given = facts.figures
    nats = given.get("nats")
    if facts.material is None:
        again = explain(facts).recomputed
        yield Figure(row["id"], facts.detector, "nats", nats, again, within(facts.contributions))
        return
    found = recount(facts.material)
    computed: dict[str, float | None] = {"nats": found.nats, "threshold": found.threshold}
    stated: dict[str, float | None] = {"nats": nats, "threshold": given.get("threshold")}
    if found.probability is not None:
        computed["probability"], stated["probability"] = found.probability, row["probability"]
    if facts.material.rule != "several":
        weighed = found.weighed
        computed |= {"observed": weighed.pieces, "expected": weighed.expected, "surge": weighed.surge}
        stated |= {name: given.get(name) for name in ("observed", "expected", "surge")}
    for name, value in computed.items():
        yield Figure(row["id"], facts.detector, name, stated[name], None if value is None else round(value, 6))
