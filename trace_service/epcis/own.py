"""The project's own custody events as EPCIS events: one for each, under an id that its content alone decides."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from trace_service.domain.events import Step
from trace_service.epcis.custody import DEALER, SHIPMENT, SITE, STEP
from trace_service.epcis.querying.answers import written
from trace_service.epcis.standard.hashing import event_hash
from trace_service.epcis.standard.links import HOST
from trace_service.epcis.standard.vocabulary import WORDS, Kind

# Where stations and dealers are; an event's own offset is not recorded.
OFFSET: Final = "+08:00"
_DISPOSITIONS: Final[Mapping[Step, str]] = {
    Step.COMMISSION: "active",
    Step.PACK: "in_progress",
    Step.UNPACK: "in_progress",
    Step.SHIP: "in_transit",
    Step.VOID: "in_progress",
    Step.RECEIVE: "in_progress",
    Step.TRANSFER_APPROVE: "in_transit",
    Step.RETURN: "returned",
    Step.SELL: "retail_sold",
    Step.RECALL: "recalled",
    Step.BLOCK: "non_sellable_other",
    Step.UNBLOCK: "sellable_not_accessible",
    Step.DECOMMISSION: "inactive",
    Step.DESTROY: "destroyed",
}
_ACTIONS: Final[Mapping[Step, str]] = {Step.COMMISSION: "ADD", Step.DECOMMISSION: "DELETE", Step.DESTROY: "DELETE"}
_AS_WORD: Final[Mapping[Step, str]] = {Step.RETURN: "shipping", Step.RECALL: "holding"}
_STAYING: Final = frozenset({Step.COMMISSION, Step.RECEIVE})
_REASONS: Final = WORDS[Kind.REASON]


class Fact(NamedTuple):
    """A custody event with what its names stand for; `gln` is the site's, `wrong` what a correction takes back."""

    brand: str
    unit: str
    biz_step: str
    site: str
    gln: str | None
    dealer: str | None
    shipment: str | None
    parent: str | None
    reason: str | None
    occurred_at: datetime
    wrong: "Fact | None" = None


def own_event(fact: Fact) -> dict[str, Any] | None:
    """Return the EPCIS event of a custody event, or None for one that has none (a correction of nothing known)."""
    if fact.biz_step == Step.CORRECT:
        return _declaration(fact)
    step = Step(fact.biz_step)
    event: dict[str, Any] = {
        "eventTime": written(fact.occurred_at),
        "eventTimeZoneOffset": OFFSET,
        **_goods(fact, step),
        "bizStep": _word(step),
        "readPoint": {"id": site_uri(fact.site, fact.gln)},
    }
    if step in _DISPOSITIONS:
        event["disposition"] = _DISPOSITIONS[step]
    if step in _STAYING:
        event["bizLocation"] = event["readPoint"]
    if fact.shipment:
        number = f"{SHIPMENT}{fact.brand}:{quote(fact.shipment, safe='')}"
        event["bizTransactionList"] = [{"type": "desadv", "bizTransaction": number}]
    if fact.dealer:
        event["destinationList"] = [{"type": "possessing_party", "destination": dealer_uri(fact.dealer)}]
    return {**event, "eventID": event_hash(event)}


def site_uri(site: str, gln: str | None) -> str:
    """Return what names a site in EPCIS: its GLN, or our own name of it."""
    return f"{HOST}/414/{gln}" if gln else f"{SITE}{quote(site, safe='')}"


def dealer_uri(dealer: str) -> str:
    """Return what names a dealer."""
    return f"{DEALER}{quote(dealer, safe='')}"


def _goods(fact: Fact, step: Step) -> dict[str, Any]:
    uri = f"{HOST}{fact.unit}"
    if step in {Step.PACK, Step.UNPACK} and fact.parent:
        action = "ADD" if step is Step.PACK else "DELETE"
        return {
            "type": "AggregationEvent",
            "action": action,
            "parentID": f"{HOST}{fact.parent}",
            "childEPCs": [uri],
        }
    single = fact.unit.startswith("/00/") or "/21/" in fact.unit
    listed = {"epcList": [uri]} if single else {"quantityList": [{"epcClass": uri}]}
    return {"type": "ObjectEvent", "action": _ACTIONS.get(step, "OBSERVE"), **listed}


def _word(step: Step) -> str:
    word = _AS_WORD.get(step, step.value)
    return word if word in WORDS[Kind.BIZ_STEP] else f"{STEP}{word}"


def _declaration(fact: Fact) -> dict[str, Any] | None:
    event = own_event(fact.wrong) if fact.wrong else None
    if event is None:
        return None
    reason = {"reason": fact.reason} if fact.reason in _REASONS else {}
    return {**event, "errorDeclaration": {"declarationTime": written(fact.occurred_at), **reason}}
