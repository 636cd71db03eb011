"""Claims into alerts: at most one standing alert per claim key."""

from msgspec import Struct, structs

from trace_service.detection.changes import Alert, Change, Claim, Raised, Retracted, Updated
from trace_service.detection.settings import DAY_MS, Settings


class Judged(Struct, frozen=True):
    """The calibrated probability of a claim, its band, and what it was computed with."""

    probability: float
    band: tuple[float, float]
    versions: dict[str, str]


class Standing(Struct):
    """What stands under one key, and how many alerts it has had."""

    alert: Alert | None = None
    count: int = 0


class Ledger:
    """Keeps which alerts stand, and says what a claim changes."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.standing: dict[str, Standing] = {}

    def stands(self, key: str) -> bool:
        """Whether there is an alert under a key."""
        entry = self.standing.get(key)
        return entry is not None and entry.alert is not None

    def settle(self, claim: Claim, judged: Judged, now: int) -> Change | None:
        """Take in a claim and how it was judged; return what it changes, if anything."""
        entry = self.standing.get(claim.key)
        alert = entry.alert if entry else None
        if entry is None or alert is None:
            if not claim.alarming:
                return None
            entry = entry or self.standing.setdefault(claim.key, Standing())
            entry.count += 1
            entry.alert = _alert(claim, judged, f"{claim.key}#{entry.count}", (now, now))
            return Raised(entry.alert)
        unlikely = (
            claim.probability is not None
            and claim.probability < self.settings.retract_probability
            and claim.nats < claim.certain_nats
        )
        if unlikely or claim.nats < claim.threshold - self.settings.retract_margin_nats:
            entry.alert = None
            return Retracted(alert, now, claim.nats)
        fresh = _alert(claim, judged, alert.number, (alert.raised_at, now))
        if fresh.events == alert.events:
            return None
        entry.alert = fresh
        return Updated(fresh)

    def close_quiet(self, now: int) -> list[Alert]:
        """Let go of alerts without new evidence for long; return them. What comes later is a new alert."""
        limit = now - self.settings.quiet_days * DAY_MS
        quiet = [entry for entry in self.standing.values() if entry.alert and entry.alert.changed_at < limit]
        found = []
        for entry in quiet:
            if entry.alert is not None:
                found.append(entry.alert)
                entry.alert = None
        return found

    def close(self, key: str) -> None:
        """Let go of one alert: a person closed it."""
        if key in self.standing:
            self.standing[key].alert = None


def _alert(claim: Claim, judged: Judged, number: str, moments: tuple[int, int]) -> Alert:
    events = tuple(dict.fromkeys(event for each in claim.contributions for event in each.events))
    times = [each.first_at for each in claim.contributions]
    figures = {"nats": round(claim.nats, 3), "threshold": round(claim.threshold, 3), **claim.figures}
    shared = {name: getattr(claim, name) for name in _SHARED}
    return Alert(
        **shared,
        number=number,
        raised_at=moments[0],
        changed_at=moments[1],
        probability=judged.probability,
        band=judged.band,
        first_seen=min(times, default=None),
        last_seen=max(times, default=None),
        cases=tuple(dict.fromkeys(each.case for each in claim.contributions if each.case)),
        events=events,
        reason={"code": claim.detector, "parameters": figures},
        versions=judged.versions,
    )


_JUDGED = {"probability", "band"}
_SHARED = tuple(
    ({each.name for each in structs.fields(Claim)} & {each.name for each in structs.fields(Alert)}) - _JUDGED
)
