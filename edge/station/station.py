"""The station's loop: read, interpret, judge, keep, and only then tell anyone."""

import threading
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import msgspec
import structlog

from contracts import worksheet
from contracts.errors import CodeError, OutboxError, OutboxFullError
from contracts.messages import Activity, Scan, encode_event
from contracts.topics import Kind
from edge.code import Code
from edge.duplicates import DuplicateWindow
from edge.outbox import Draft, Outbox
from edge.sources.source import Read, Source
from edge.station.desk import Desk
from edge.station.display import Display
from edge.station.interpret import Finding, interpret
from edge.station.order import Order, next_order
from edge.station.verdict import Verdict, worst

_ORDER_NOTE: Final = "order"
_RETRY_SECONDS: Final = 1.0
_log = structlog.get_logger(__name__)


class _Work(NamedTuple):
    """What a read comes to before it is kept: the order that it sets, its findings, which are drafts, and notes."""

    order: Order | None
    findings: list[Finding]
    drafts: dict[int, Draft]
    more: list[Draft]
    notes: Mapping[str, str]


class Station:
    """Turns the reads of one source into scans in the outbox; `is_online` tells whether the server can be reached."""

    def __init__(
        self,
        outbox: Outbox,
        display: Display,
        is_online: Callable[[], bool],
        *,
        activity: Activity,
        repeat_seconds: float,
    ) -> None:
        self._outbox = outbox
        self._display = display
        self._is_online = is_online
        self._idle = Order(activity)
        noted = outbox.notes().get(_ORDER_NOTE)
        self._order = msgspec.json.decode(noted, type=Order) if noted else self._idle
        self._recent = DuplicateWindow(repeat_seconds)
        self._desk: Desk | None = None
        self._keep_evidence: Callable[[str, bytes], None] = lambda _name, _picture: None
        self._lock = threading.RLock()

    def equip(self, desk: Desk, keep_evidence: Callable[[str, bytes], None]) -> None:
        """Judge every unit by the site's manifest from now on.

        `keep_evidence` is given the picture of every read that led to a finding, after the verdict was told.
        """
        self._desk = desk
        self._keep_evidence = keep_evidence

    @property
    def order(self) -> Order:
        """What the station works on; it survives a restart."""
        return self._order

    @property
    def idle(self) -> Order:
        """What it does while no order is begun."""
        return self._idle

    def run(self, source: Source, stop: threading.Event) -> None:
        """Work until the source ends or `stop` is set; raises the source's `SourceError`."""
        for read in source.reads(stop):
            self.take(read, stop)

    def take(self, read: Read, stop: threading.Event) -> list[Verdict]:
        """Deal with one read: keep its scans, then show the verdict and settle the read.

        While the outbox cannot take it, the read waits, with an alarm. One that still waits when `stop` is set is not
        settled: a picture stays in its folder and is read again. May be called from several threads.
        """
        with self._lock:
            work = self._prepare(read)
            kept = self._keep(work, stop)
            if kept is None:
                return [Verdict.REFUSED]
            verdicts = [self._verdict(index, finding, kept) for index, finding in enumerate(work.findings)]
            if work.order is not None:
                self._order = work.order
                _log.info("order", action="station.order", **msgspec.to_builtins(work.order))
                if not any(finding.command for finding in work.findings):
                    verdicts.append(Verdict.ORDER)
            self._tell(read, work.findings, verdicts)
        if read.picture is not None and work.findings:
            self._keep_evidence(read.image_sha256 or "", read.picture)
        return verdicts

    def act(self, deed: Callable[[Desk, Order], Finding], stop: threading.Event) -> Finding:
        """Do what somebody asked for at the screen, keep what follows from it, and show the outcome.

        Raises `CodeError` where it cannot be done.
        """
        if self._desk is None:
            raise CodeError("this station has no manifest", advice="Set EDGE_MANIFEST_KEY.")
        with self._lock:
            finding = deed(self._desk, self._order)
            notes = dict(finding.notes) | _order_note(finding.order)
            if self._keep(_Work(finding.order, [], {}, [], notes), stop) is None:
                return finding._replace(verdict=Verdict.REFUSED)
            self._order = finding.order or self._order
            self._desk.told(finding.verdict, finding, self._order, self._outbox.depth)
            self._display.show(finding.verdict, finding.code.text, self._order, self._outbox.depth)
            return finding

    def between(self) -> None:
        """Have the screen show what changed besides scans, and forget loads that the manifest says have left."""
        if self._desk is None:
            return
        with self._lock:
            self._desk.redraw(self._order)
            left = self._desk.dock.forget_left()
            try:
                self._outbox.add([], left)
            except OutboxError as error:
                _log.warning(error.message, action="station.untidy", code=error.code, advice=error.advice)

    def _prepare(self, read: Read) -> _Work:
        order, findings = None, []
        commands = [code for code in read.codes if worksheet.is_command(code.text)]
        image = read.image_sha256 or ""
        notes: dict[str, str] = {}
        if self._desk is None:
            try:
                order = next_order([code.text for code in commands], self._idle)
            except CodeError as error:
                findings = [Finding(code, None, Verdict.UNKNOWN, error.message) for code in commands]
            findings += interpret(read.codes, order or self._order, read.captured_at_ms, image)
            known = [self._is_repeat(finding) for finding in findings]
        else:
            findings = self._desk.commands(commands, self._order, self._idle)
            order = next((finding.order for finding in findings if finding.order), None)
            found = interpret(read.codes, order or self._order, read.captured_at_ms, image)
            known = [False] * len(findings) + [self._is_repeat(finding) for finding in found]
            pairs = zip(found, known[len(findings) :], strict=True)
            findings += [
                finding if repeat else self._desk.look(finding, order or self._order) for finding, repeat in pairs
            ]
            order = next((finding.order for finding in findings if finding.order), None)
            for finding in findings:
                notes |= finding.notes
        drafts = {
            index: _draft(finding.scan, finding.code, read)
            for index, (finding, repeat) in enumerate(zip(findings, known, strict=True))
            if finding.scan is not None and not repeat
        }
        more = [_draft(scan, finding.code, read) for finding in findings for scan in finding.more]
        return _Work(order, findings, drafts, more, notes | _order_note(order))

    def _is_repeat(self, finding: Finding) -> bool:
        scan = finding.scan
        return scan is not None and self._recent.is_repeat(
            f"{scan.activity}\n{scan.reference}\n{scan.parent}\n{scan.code}"
        )

    def _keep(self, work: _Work, stop: threading.Event) -> dict[int, bool] | None:
        """Commit drafts and notes; return which drafts were new, None where `stop` came before there was room."""
        drafts = [*work.drafts.values(), *work.more]
        if not drafts and not work.notes:
            return {}
        while True:
            try:
                return dict(zip(work.drafts, self._outbox.add(drafts, work.notes), strict=False))
            except (OutboxFullError, OutboxError) as error:
                _log.critical(error.message, action="station.refused", code=error.code, advice=error.advice)
                self._display.show(Verdict.REFUSED, error.message, self._order, self._outbox.depth)
            if stop.wait(_RETRY_SECONDS):
                return None

    def _verdict(self, index: int, finding: Finding, kept: dict[int, bool]) -> Verdict:
        if finding.scan is None or (finding.judged and not finding.verdict.is_good):
            return finding.verdict
        if not kept.get(index, False):
            return Verdict.DUPLICATE
        if finding.verdict is Verdict.OK and not (finding.confirmed or self._is_online()):
            return Verdict.PROVISIONAL
        return finding.verdict

    def _tell(self, read: Read, findings: list[Finding], verdicts: list[Verdict]) -> None:
        for finding, verdict in zip(findings, verdicts, strict=False):
            _log.info(
                "scan",
                action="station.verdict",
                verdict=verdict,
                code=finding.code.text[:512],
                symbology=finding.code.symbology,
                parent=finding.scan.parent if finding.scan else "",
                reason=finding.reason,
                origin=read.origin,
            )
        overall = worst(verdicts)
        if not verdicts:
            _log.warning("no code in it", action="station.verdict", verdict=overall, origin=read.origin)
        if self._desk is not None:
            telling = [each for each, verdict in zip(findings, verdicts, strict=False) if verdict is overall]
            self._desk.told(overall, telling[0] if telling else None, self._order, self._outbox.depth)
        text = findings[0].code.text if findings else self._order.reference
        self._display.show(overall, text, self._order, self._outbox.depth)
        read.done(accepted=overall.is_good)


def _order_note(order: Order | None) -> dict[str, str]:
    return {_ORDER_NOTE: msgspec.json.encode(order).decode()} if order else {}


def _draft(scan: Scan, code: Code, read: Read) -> Draft:
    image = read.image_sha256 or ""
    text = code.text if scan.code == code.text else scan.code
    once = f"{image} {text}" if image else ""
    return Draft(Kind.SCAN, encode_event(scan), read.captured_at_ms, once=once)
