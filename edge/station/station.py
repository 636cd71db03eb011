"""The station's loop: read, interpret, keep, and only then tell anyone."""

import threading
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec
import structlog

from contracts import worksheet
from contracts.errors import CodeError, OutboxError, OutboxFullError
from contracts.messages import Activity, encode_event
from contracts.topics import Kind
from edge.duplicates import DuplicateWindow
from edge.outbox import Draft, Outbox
from edge.sources.source import Read, Source
from edge.station.display import Display
from edge.station.interpret import Finding, interpret
from edge.station.order import Order, next_order
from edge.station.verdict import Verdict, worst

_ORDER_NOTE: Final = "order"
_RETRY_SECONDS: Final = 1.0
_log = structlog.get_logger(__name__)


class _Work(NamedTuple):
    """What a read comes to before it is kept: the order that it sets, its findings, and which of them are drafts."""

    order: Order | None
    findings: list[Finding]
    drafts: dict[int, Draft]


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

    @property
    def order(self) -> Order:
        """What the station works on; it survives a restart."""
        return self._order

    def run(self, source: Source, stop: threading.Event) -> None:
        """Work until the source ends or `stop` is set; raises the source's `SourceError`."""
        for read in source.reads(stop):
            self.take(read, stop)

    def take(self, read: Read, stop: threading.Event) -> list[Verdict]:
        """Deal with one read: keep its scans, then show the verdict and settle the read.

        While the outbox cannot take it, the read waits, with an alarm. One that still waits when `stop` is set is not
        settled: a picture stays in its folder and is read again.
        """
        work = self._prepare(read)
        kept = self._keep(work, stop)
        if kept is None:
            return [Verdict.REFUSED]
        verdicts = [self._verdict(index, finding, kept) for index, finding in enumerate(work.findings)]
        if work.order is not None:
            self._order = work.order
            verdicts.append(Verdict.ORDER)
            _log.info("order", action="station.order", **msgspec.to_builtins(work.order))
        self._tell(read, work.findings, verdicts)
        return verdicts

    def _prepare(self, read: Read) -> _Work:
        order, findings = None, []
        commands = [code for code in read.codes if worksheet.is_command(code.text)]
        try:
            order = next_order([code.text for code in commands], self._idle)
        except CodeError as error:
            findings = [Finding(code, None, Verdict.UNKNOWN, error.message) for code in commands]
        image = read.image_sha256 or ""
        findings += interpret(read.codes, order or self._order, read.captured_at_ms, image)
        drafts = {
            index: _draft(finding, read.captured_at_ms, image)
            for index, finding in enumerate(findings)
            if finding.scan is not None and not self._is_repeat(finding)
        }
        return _Work(order, findings, drafts)

    def _is_repeat(self, finding: Finding) -> bool:
        scan = finding.scan
        return scan is not None and self._recent.is_repeat(
            f"{scan.activity}\n{scan.reference}\n{scan.parent}\n{scan.code}"
        )

    def _keep(self, work: _Work, stop: threading.Event) -> dict[int, bool] | None:
        """Commit drafts and order; return which drafts were new, None where `stop` came before there was room."""
        notes = {_ORDER_NOTE: msgspec.json.encode(work.order).decode()} if work.order else {}
        if not work.drafts and not notes:
            return {}
        while True:
            try:
                return dict(zip(work.drafts, self._outbox.add(list(work.drafts.values()), notes), strict=True))
            except (OutboxFullError, OutboxError) as error:
                _log.critical(error.message, action="station.refused", code=error.code, advice=error.advice)
                self._display.show(Verdict.REFUSED, error.message, self._order, self._outbox.depth)
            if stop.wait(_RETRY_SECONDS):
                return None

    def _verdict(self, index: int, finding: Finding, kept: dict[int, bool]) -> Verdict:
        if finding.scan is None:
            return finding.verdict
        if not kept.get(index, False):
            return Verdict.DUPLICATE
        if finding.verdict is Verdict.OK and not self._is_online():
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
        text = findings[0].code.text if findings else self._order.reference
        self._display.show(overall, text, self._order, self._outbox.depth)
        read.done(accepted=overall.is_good)


def _draft(finding: Finding, captured_at_ms: int, image: str) -> Draft:
    once = f"{image} {finding.code.text}" if image else ""
    body = encode_event(finding.scan) if finding.scan else b""
    return Draft(Kind.SCAN, body, captured_at_ms, once=once)
