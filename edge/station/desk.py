"""Between the station's loop and its dock: commands and findings in, findings with verdicts and notes out."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from contracts import gs1, worksheet
from contracts.errors import CodeError
from contracts.manifest import Product
from contracts.messages import Activity, Scan
from contracts.worksheet import Begin, Build, End, Operator, Press
from edge.code import Code
from edge.station.dock import Change, Dock
from edge.station.interpret import Finding
from edge.station.judge import Judgement
from edge.station.order import Order
from edge.station.package import Package, put
from edge.station.verdict import Verdict

_PACKAGE: Final = "package"
_SCREEN: Final = Code("", "screen", "", (), "screen")
News = Callable[[Mapping[str, Any], "Desk", Order], None]


class Desk:
    """Judges what a station reads, and remembers what it told; used under the station's lock."""

    def __init__(self, dock: Dock, noted: Mapping[str, str], on_news: News) -> None:
        self.dock = dock
        self._package = msgspec.json.decode(noted[_PACKAGE], type=Package) if noted.get(_PACKAGE) else None
        self._on_news = on_news
        self._told = 0
        self._last: Mapping[str, Any] = dict.fromkeys(("verdict", "reason", "other", "code", "order"), "") | {"n": 0}

    @property
    def package(self) -> Package | None:
        """The case or pallet that is being built."""
        return self._package

    def commands(self, codes: Sequence[Code], order: Order, idle: Order) -> list[Finding]:
        """Carry out the commands in one picture; several different ones are none."""
        if len({code.text for code in codes}) > 1:
            return [Finding(code, None, Verdict.UNKNOWN, "several_commands", command=True) for code in codes]
        return [self._command(code, order, idle) for code in codes[:1]]

    def _command(self, code: Code, order: Order, idle: Order) -> Finding:
        try:
            command = worksheet.parse(code.text)
            if self.dock.state.stopped and not isinstance(command, Operator):
                return self._stopped(code)
            return self._carry_out(command, code, order, idle)
        except CodeError as error:
            return Finding(code, None, Verdict.UNKNOWN, error.message, command=True)

    def _carry_out(self, command: worksheet.Command, code: Code, order: Order, idle: Order) -> Finding:
        match command:
            case Begin():
                fresh = Order(command.activity, command.reference, command.recipient)
                return _done(code, self.dock.begin(fresh), fresh)
            case End():
                change = self.dock.end(order)
                return _done(code, change, idle if change.verdict is Verdict.ORDER else None)
            case Operator():
                return _done(code, self.dock.operator(command.id, command.shift))
            case Build():
                return self._build(code, Package(command.kind, command.size))
        return self._press(command, code, order, idle)

    def _press(self, button: Press, code: Code, order: Order, idle: Order) -> Finding:
        match button:
            case Press.PAUSE:
                return _done(code, Change(Verdict.ORDER, "paused"), idle)
            case Press.UNDO:
                return _done(code, self.dock.undo(order))
            case Press.NEXT:
                return self._close(code, order)
            case Press.ABORT:
                return self._build(code, self._package.fresh() if self._package else None)
        return _done(code, self.dock.mark("scrap" if button is Press.SCRAP else "damaged"))

    def look(self, finding: Finding, order: Order) -> Finding:
        """Judge one finding for the order that is worked on."""
        code = finding.code
        if self.dock.state.stopped:
            return self._stopped(code)
        if code.text.startswith(worksheet.DOCUMENT):
            return self._document(code)
        if finding.scan is None:
            return finding
        scan = msgspec.structs.replace(finding.scan, operator=self.dock.state.operator)
        if finding.verdict is Verdict.NO_PARENT and self._package is not None:
            # Alone in its picture, and yet it has a parent: the package that is being built.
            scan = msgspec.structs.replace(scan, activity=Activity.PACK)
            finding = finding._replace(verdict=Verdict.OK)
        if finding.verdict is not Verdict.OK:
            return self._refuse(finding._replace(scan=scan), order)
        return self._look(finding._replace(scan=scan), scan, order)

    def _look(self, finding: Finding, scan: Scan, order: Order) -> Finding:
        identifier = gs1.parse(finding.code.text, finding.code.aim)
        if self.dock.state.mark == "scrap":
            waste = msgspec.structs.replace(scan, activity=Activity.OBSERVE, to="")
            notes = self.dock.scrap(identifier.key)
            return finding._replace(scan=waste, reason="scrapped", notes=notes, judged=True, confirmed=True)
        if order.activity is Activity.PACK and self._package is not None and not scan.parent:
            return self._put(finding, identifier, scan, order)
        if order.activity in {Activity.SHIP, Activity.RECEIVE} and order.reference:
            return self._judge(finding, identifier, scan, order)
        return finding

    def _judge(self, finding: Finding, identifier: gs1.Identifier, scan: Scan, order: Order) -> Finding:
        judgement = self.dock.judge(identifier, order)
        verdict = judgement.verdict
        counts = verdict.is_good or order.activity is Activity.RECEIVE or not self.dock.enforces
        if verdict is Verdict.DUPLICATE:
            kept = None if self.dock.enforces else scan
            return finding._replace(scan=kept, verdict=verdict, reason=judgement.reason, judged=True)
        if counts:
            notes = self.dock.take(order, judgement, verdict)
            return finding._replace(
                scan=scan,
                verdict=verdict,
                reason=judgement.reason,
                other=judgement.other,
                notes=notes,
                judged=True,
                confirmed=bool(self.dock.hub_confirms()),
            )
        return self._refuse(finding._replace(scan=scan, verdict=verdict), order, judgement)

    def _refuse(self, finding: Finding, order: Order, judgement: Judgement | None = None) -> Finding:
        """Keep what must not be shipped as seen, and stop the station where it enforces."""
        if not (self.dock.enforces and order.activity is Activity.SHIP and finding.verdict.stops and finding.scan):
            return finding
        given = judgement or Judgement(finding.verdict, finding.reason)
        seen = msgspec.structs.replace(finding.scan, activity=Activity.OBSERVE, to="")
        unit = given.unit.key if given.unit else finding.code.text[:128]
        notes = self.dock.stop(order, finding.verdict, given, unit)
        return finding._replace(scan=seen, reason=given.reason, other=given.other, notes=notes, judged=True)

    def _stopped(self, code: Code) -> Finding:
        stopped = self.dock.state.stopped
        reason, other = (stopped.verdict, stopped.unit) if stopped else ("", "")
        return Finding(code, None, Verdict.STOPPED, reason, other=other, command=True)

    def _document(self, code: Code) -> Finding:
        try:
            order, change = self.dock.document(code.text)
        except CodeError as error:
            return Finding(code, None, Verdict.UNKNOWN, error.message, command=True)
        return _done(code, change, order)

    def _build(self, code: Code, package: Package | None) -> Finding:
        self._package = package
        reason = f"build_{package.kind}" if package else "nothing_built"
        return Finding(code, None, Verdict.ORDER, reason, notes=_package_note(package), command=True)

    def _close(self, code: Code, order: Order) -> Finding:
        package = self._package
        if package is None or not package.members or not package.label:
            reason = "label_due" if package and package.members else "nothing_built"
            return Finding(code, None, Verdict.UNKNOWN, reason, command=True)
        return self._closed(Finding(code, None, Verdict.ORDER, command=True), package, order)

    def _put(self, finding: Finding, identifier: gs1.Identifier, scan: Scan, order: Order) -> Finding:
        if self._package is None:
            return finding
        manifest = self.dock.manifest
        found = manifest.find(identifier.key) if manifest else None
        if found and (found.blocked or found.ancestors):
            verdict = Verdict.BLOCKED if found.blocked else Verdict.WRONG_ITEM
            reason, other = ("blocked", found.blocked) if found.blocked else ("packed_already", "")
            return finding._replace(scan=None, verdict=verdict, reason=reason, other=other, judged=True)
        product = manifest.product(identifier.gtin) if manifest else None
        step = put(self._package, identifier, scan, _label(finding.code, identifier), _per_case(product))
        self._package = step.package
        done = finding._replace(
            scan=None, verdict=step.verdict, reason=step.reason, notes=_package_note(step.package), judged=True
        )
        return self._closed(done, step.package, order) if step.package.is_complete else done

    def _closed(self, finding: Finding, package: Package, order: Order) -> Finding:
        self._package = package.fresh()
        notes = self.dock.package(order, package.label_key, package.kind, len(package.members))
        return finding._replace(
            reason="package_closed",
            more=tuple(package.scans()),
            notes={**finding.notes, **notes, **_package_note(self._package)},
        )

    def release(self, order: Order, supervisor: str, pin: str, reason: str) -> Finding:
        """Let a stopped station work on; raises `CodeError`."""
        return _done(_SCREEN, self.dock.release(order, supervisor, pin, reason))

    def sign(self, order: Order, idle: Order, signature: tuple[str, str, str]) -> Finding:
        """Close a load that differs from its order, signed by a supervisor with a PIN and a reason; or `CodeError`."""
        if self.dock.state.stopped:
            raise CodeError("the station stands still", advice="Release it first.")
        return _done(_SCREEN, self.dock.end(order, signature), idle)

    def told(self, verdict: Verdict, finding: Finding | None, order: Order, waiting: int) -> None:
        """Let the screen know what was told."""
        self._told += 1
        self._last = {
            "verdict": verdict.value,
            "reason": finding.reason if finding else "",
            "other": finding.other if finding else "",
            "code": _readable(finding.code.text) if finding else "",
            "order": order.reference,
            "waiting": waiting,
            "n": self._told,
        }
        self._on_news(self._last, self, order)

    def redraw(self, order: Order) -> None:
        """Show the present state again: a manifest or the hub may have come."""
        self._on_news(self._last, self, order)


def key_in(text: str) -> Code:
    """Return what somebody typed as a code; raises `CodeError`. Serials forgive o, i and l, and small letters."""
    typed = text.strip()
    if worksheet.is_command(typed.upper()):
        return Code(typed.upper(), "keyed", "", (), "keyed")
    if typed.isdigit() and len(typed) == 18:  # noqa: PLR2004  an SSCC
        typed = f"(00){typed}"
    try:
        gs1.parse(typed)
    except CodeError:
        gs1.parse(typed.upper())
        typed = typed.upper()
    return Code(typed, "keyed", "", (), "keyed")


def _done(code: Code, change: Change, order: Order | None = None) -> Finding:
    return Finding(
        code, None, change.verdict, change.reason, other=change.other, notes=change.notes, order=order, command=True
    )


def _package_note(package: Package | None) -> dict[str, str]:
    return {_PACKAGE: msgspec.json.encode(package).decode() if package else ""}


def _label(code: Code, identifier: gs1.Identifier) -> str:
    try:
        gs1.parse(code.text)
    except CodeError:
        return identifier.uri
    return code.text


def _per_case(product: Product | None) -> int:
    return product.items_per_case if product else 0


def _readable(text: str) -> str:
    return "".join(char if char.isprintable() else "·" for char in text)[:80]
