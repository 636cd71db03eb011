"""What a detector on papers and registers saw in particular: its figures in sentences, the most telling first."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from trace_service.web.models import Alert
from trace_service.web.places import Places
from trace_service.words import Words, numbered

Names = Mapping[str, tuple[str, str]]
_TWO: Final = 2
_MOST_PLACES: Final = 5


def particulars(words: Words, places: Places, alert: Alert, names: Names) -> list[str]:
    """Return the sentences; `names` are the Chinese and English names of the dealers that figures have by number."""
    told = _TOLD.get(str(alert.reason.get("code")))
    try:
        return list(told(_Speaker(words, places, alert, names))) if told else []
    except (KeyError, TypeError, ValueError, OverflowError):
        return []  # figures of another version


class _Speaker:
    """An alert's figures, and how to word them."""

    def __init__(self, words: Words, places: Places, alert: Alert, names: Names) -> None:
        self.words, self.given, self.alert = words, alert.parameters, alert
        self._places, self._names = places, names

    def time(self, milliseconds: object) -> str:
        """Return a moment that figures have."""
        return self.words.time(datetime.fromtimestamp(float(str(milliseconds)) / 1000, UTC))

    def city(self, adcode: object) -> str:
        """Return a city's name."""
        return self._places.name(str(adcode), self.words.language)

    def dealer(self, number: str) -> str:
        """Return a dealer's name with its number."""
        return numbered(self.words.language, number, self.words.pick(*self._names.get(number, ("", ""))))

    def listed(self, texts: Iterator[str] | list[str]) -> str:
        """Return a list in a sentence."""
        return self.words.pick("、", ", ").join(texts)


def _rebind(by: _Speaker) -> Iterator[str]:
    when = [each["first_at"] for each in by.given.get("contributions", ()) if "first_at" in each]
    if when:
        yield by.words("reason.rebind.when", time=by.time(min(when)))
    if by.given["moved_before"]:
        yield by.words("reason.rebind.moved", moved=by.given["moved_before"])
    approvers = [str(each) for each in by.given["approvers"]]
    if len(approvers) < _TWO:
        key = "alone" if approvers else "none"
        yield by.words(f"reason.rebind.{key}", **({"approvers": by.listed(approvers)} if approvers else {}))


def _level_skip(by: _Speaker) -> Iterator[str]:
    if "lot_cases" not in by.given:
        return
    of, missing = by.given["lot_cases"], by.given["level_missing"]
    shipment = by.listed([str(each) for each in by.given["shipments"]])
    dealer = by.words.pick(by.alert.dealer_name_zh, by.alert.dealer_name_en)
    if of == missing:
        yield by.words("reason.skip.lot", shipment=shipment, of=of, dealer=dealer)
    else:
        told = {"read": of - missing, "cases": by.alert.cases}
        yield by.words("reason.skip.partly", shipment=shipment, of=of, dealer=dealer, **told)


def _withheld(by: _Speaker) -> Iterator[str]:
    told = {"time": by.time(by.given["since"]), "latest": by.time(by.given["latest"])}
    yield by.words(f"reason.withheld.{by.given['state']}", batch=str(by.given["batch"]), **told)


def _clone(by: _Speaker) -> Iterator[str]:
    if by.given["items"] == 1:
        told = {"days": by.words.number(by.given["days"], 1), "cities": len(by.given["cities"])}
        usual = f"{by.words.number(100 * by.given['usual_second_phones'], 1)}%"
        yield by.words("reason.clone.phones", devices=by.given["devices"], usual=usual, **told)
    for trip in by.given["travel"]:
        told = {name: by.city(trip[name]) if trip[name] else by.words("scan.none") for name in ("from", "to")}
        told |= {name: by.time(trip[name]) for name in ("left", "came")}
        yield by.words("reason.clone.travel", km=trip["km"], hours=by.words.number(trip["hours"], 1), **told)


def _off_route(by: _Speaker) -> Iterator[str]:
    yield by.words("reason.off_route.stops", stops=by.given["stops"], detour=by.words.number(by.given["detour"], 1))
    if "places" not in by.given:
        return
    yield by.words("reason.off_route.plan", time=by.time(by.given["departed"]), km=by.given["way_km"])
    for each in by.given["places"][:_MOST_PLACES]:
        where = by.city(each["adcode"]) if each["adcode"] else by.words("reason.off_route.nowhere")
        yield by.words("reason.off_route.seen", time=by.time(each["at"]), city=where, km=each["km"])


def _collusion(by: _Speaker) -> Iterator[str]:
    yield by.words("reason.collusion.dealers", dealers=by.listed([by.dealer(each) for each in by.given["dealers"]]))


_TOLD: Final[Mapping[str, Callable[[_Speaker], Iterator[Any]]]] = {
    "rebind": _rebind,
    "level_skip": _level_skip,
    "withheld": _withheld,
    "clone": _clone,
    "off_route": _off_route,
    "collusion": _collusion,
}
