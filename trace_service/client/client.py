"""The client: one object for one service and one token, with a part for each interface."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

from msgspec import Struct

from trace_service.client.models import (
    Alert,
    AlertDetail,
    CaptureJob,
    CodeState,
    ImportReport,
    Order,
    OrderDraft,
    OrderState,
    Placed,
    Question,
    Reconciliation,
    Ruling,
)
from trace_service.client.transport import Patience, Transport

_API: Final = "/api/v1"
_EPCIS: Final = "/epcis"


class _Session(Struct):
    token: str


class _Rulings(Struct):
    answers: list[Ruling]


class _Shown(Struct):
    order: Order


class _Orders(Struct):
    orders: list[Order]
    before: str | None


class _Alerts(Struct):
    alerts: list[Alert]
    before: int | None


class Client:
    """A service at `url`, asked with the token of a partner. Close it, or use it in a `with` block.

    What is safe to repeat is tried up to `patience.attempts` times. Every call raises ApiError or UnreachableError.
    """

    def __init__(self, url: str, token: str, *, patience: Patience | None = None, timeout: float = 10.0) -> None:
        transport = Transport(url, token, patience or Patience(), timeout)
        self._transport = transport
        self.check = Checks(transport)
        self.orders = Orders(transport)
        self.channel = ChannelTables(transport)
        self.codes = Codes(transport)
        self.epcis = Epcis(transport)
        self.alerts = Alerts(transport)

    @classmethod
    def sign_in(cls, url: str, login: str, password: str, *, timeout: float = 10.0) -> Self:
        """Return a client for an account of the console, which alerts are read with."""
        transport = Transport(url, "", Patience(), timeout)
        try:
            body = {"login": login, "password": password}
            answer = transport.send("POST", f"{_API}/session", safe=False, json=body)
            return cls(url, transport.decoded(_Session, answer).token, timeout=timeout)
        finally:
            transport.close()

    def close(self) -> None:
        """Close every connection."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Part:
    """One interface of the service."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport


class Checks(Part):
    """May this dealer order or sell this product here? Scope `check`."""

    def order(self, *, product: str, dealer: str | None = None, site: str | None = None, **more: Any) -> Ruling:  # noqa: ANN401
        """Ask before an order; `more` is position, channel, at and known_at."""
        return self._one("order", product, dealer, site, more)

    def sale(self, *, product: str, dealer: str | None = None, site: str | None = None, **more: Any) -> Ruling:  # noqa: ANN401
        """Ask before a sale; `more` is position, channel, at and known_at."""
        return self._one("sale", product, dealer, site, more)

    def many(self, questions: Sequence[Question]) -> list[Ruling]:
        """Ask up to 1,000 questions at once; the answers come in their order."""
        body = {"questions": questions}
        return self._transport.ask(_Rulings, "POST", f"{_API}/check/batch", json=body).answers

    def _one(self, act: str, product: str, dealer: str | None, site: str | None, more: Mapping[str, Any]) -> Ruling:
        body = {"product": product, "dealer": dealer, "site": site, **more}
        given = {name: value for name, value in body.items() if value is not None}
        return self._transport.ask(Ruling, "POST", f"{_API}/check/{act}", json=given)


class Orders(Part):
    """Outbound orders. Scope `orders`."""

    def place(self, number: str, draft: OrderDraft) -> Placed:
        """Create an order, or change it by a higher version; the same again changes nothing."""
        return self._transport.ask(Placed, "PUT", f"{_API}/orders/{quote(number, safe='')}", json=draft)

    def get(self, number: str) -> Order:
        """Return an order in force."""
        return self._transport.ask(_Shown, "GET", f"{_API}/orders/{quote(number, safe='')}").order

    def each(self, state: OrderState | None = None) -> Iterator[Order]:
        """Yield orders, newest first, fetching them page by page."""
        before: str | None = None
        while True:
            wanted = {name: value for name, value in (("state", state), ("before", before)) if value}
            page = self._transport.ask(_Orders, "GET", f"{_API}/orders", params=wanted)
            yield from page.orders
            before = page.before
            if before is None:
                return

    def cancel(self, number: str, reason: str = "") -> Order:
        """Cancel an order that nobody has begun to load."""
        path = f"{_API}/orders/{quote(number, safe='')}/cancel"
        answer = self._transport.send("POST", path, safe=False, json={"reason": reason})
        return self._transport.decoded(Order, answer)

    def acknowledge(self, number: str) -> Order:
        """Confirm that you have taken note of how an order ended; repeated, it changes nothing."""
        return self._transport.ask(Order, "POST", f"{_API}/orders/{quote(number, safe='')}/acknowledge")

    def reconcile(self, number: str) -> Reconciliation:
        """Hold an order against its scans."""
        return self._transport.ask(Reconciliation, "GET", f"{_API}/orders/{quote(number, safe='')}/reconciliation")


class ChannelTables(Part):
    """Products, packs, dealers, contracts, sites, staff and devices as files. Scope `channel`."""

    def load(self, name: str, content: bytes, *, dry_run: bool = False) -> ImportReport:
        """Import a CSV or Excel file, named for its table, or only try to; the same again changes nothing."""
        wanted = {"name": name, "dry_run": "true" if dry_run else "false"}
        headers = {"Content-Type": "application/octet-stream"}
        request = {"params": wanted, "content": content, "headers": headers}
        answer = self._transport.send("POST", f"{_API}/channel/import", safe=True, accept=(422,), **request)
        return self._transport.decoded(ImportReport, answer)

    def export(self, table: str, *, at: datetime | None = None, known_at: datetime | None = None) -> bytes:
        """Return a table as CSV in UTF-8, as of a moment and as known at another; aware times."""
        times = {"at": at, "known_at": known_at}
        given = {name: value.isoformat() for name, value in times.items() if value is not None}
        return self._transport.send("GET", f"{_API}/channel/export/{table}", safe=True, params=given).content


class Codes(Part):
    """What a code is. Scope `epcis`."""

    def state(self, code: str, *, valid_at: datetime | None = None, known_at: datetime | None = None) -> CodeState:
        """Return state, place, holder and entitled dealer at a moment, as known at another; aware times."""
        times = {"valid_at": valid_at, "known_at": known_at}
        given = {name: value.isoformat() for name, value in times.items() if value is not None}
        return self._transport.ask(CodeState, "GET", f"{_API}/codes/state", params={"code": code, **given})


class Epcis(Part):
    """EPCIS 2.0 documents as JSON objects. Scope `epcis`."""

    def capture(self, document: Mapping[str, Any], *, proceed: bool = False) -> CaptureJob:
        """Capture a document and return its job; `proceed` keeps the good events of a bad document.

        A capture is not repeated after a lost answer: give every event its eventID, and capturing again is harmless.
        """
        headers = {"GS1-Capture-Error-Behaviour": "proceed" if proceed else "rollback"}
        answer = self._transport.send("POST", f"{_EPCIS}/capture", safe=False, json=document, headers=headers)
        return self._transport.ask(CaptureJob, "GET", answer.headers["Location"])

    def events(self, **parameters: str) -> Iterator[dict[str, Any]]:
        """Yield the events that match, page by page; parameters as in the standard: eventType, MATCH_epc, …."""
        path, wanted = f"{_EPCIS}/events", dict(parameters)
        while True:
            answer = self._transport.send("GET", path, safe=True, params=wanted)
            document = self._transport.decoded(dict[str, Any], answer)
            yield from document["epcisBody"]["queryResults"]["resultsBody"]["eventList"]
            following = answer.links.get("next", {}).get("url")
            if following is None:
                return
            path, wanted = following, {}


class Alerts(Part):
    """Alerts, for a client of `Client.sign_in`."""

    def each(self, state: str | None = None) -> Iterator[Alert]:
        """Yield alerts, newest first, in one state or in all."""
        before: int | None = None
        while True:
            wanted = {name: value for name, value in (("state", state), ("before", before)) if value}
            page = self._transport.ask(_Alerts, "GET", f"{_API}/alerts", params=wanted)
            yield from page.alerts
            before = page.before
            if before is None:
                return

    def get(self, number: int) -> AlertDetail:
        """Return one alert with what it rests on."""
        return self._transport.ask(AlertDetail, "GET", f"{_API}/alerts/{number}")

    def acknowledge(self, number: int) -> Alert:
        """Take an open alert on."""
        answer = self._transport.send("POST", f"{_API}/alerts/{number}/acknowledge", safe=False)
        return self._transport.decoded(Alert, answer)

    def close(self, number: int, outcome: str) -> Alert:
        """Close an alert with its outcome."""
        body = {"outcome": outcome}
        answer = self._transport.send("POST", f"{_API}/alerts/{number}/close", safe=False, json=body)
        return self._transport.decoded(Alert, answer)
