"""From the codes in one picture to the scans that they mean. Pure: no clock, no file, no network."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from contracts import gs1, worksheet
from contracts.errors import CodeError, MessageError
from contracts.messages import Activity, Scan, decode_event, encode_event
from contracts.topics import Kind
from edge.code import Code
from edge.station.order import Order
from edge.station.verdict import Verdict


class Finding(NamedTuple):
    """A code, the scan that it becomes (None where it is nobody's business but the packer's), and what it is worth.

    OK means that nothing is wrong with the code itself; the station may yet find that it is a duplicate.
    """

    code: Code
    scan: Scan | None
    verdict: Verdict
    reason: str = ""
    other: str = ""
    """What the reason is about: another order, a station, a unit."""
    notes: Mapping[str, str] = {}
    more: tuple[Scan, ...] = ()
    """Scans of earlier reads that are told of now: the members of a package that has closed."""
    order: Order | None = None
    """The order that a command sets."""
    command: bool = False
    judged: bool = False
    """The verdict is the manifest's, and final."""
    confirmed: bool = False
    """The site's hub has confirmed it, so that it holds without the server."""


class _Parsed(NamedTuple):
    code: Code
    identifier: gs1.Identifier | None
    reason: str

    @property
    def is_case(self) -> bool:
        return self.identifier is not None and self.identifier.key.startswith("/00/")

    @property
    def is_item(self) -> bool:
        return self.identifier is not None and self.identifier.is_item


def interpret(codes: Sequence[Code], order: Order, captured_at_ms: int, image: str = "") -> list[Finding]:
    """Return what each code means while `order` is worked on; commands are left out.

    Packing, one case label and items in one picture mean that the items lie in that case. Several case labels, or
    none, are ambiguous: items then are only observed.
    """
    parsed = [_parse(code) for code in codes if not worksheet.is_command(code.text)]
    cases = {each.identifier.key: each for each in parsed if each.identifier and each.is_case}
    packs = order.activity is Activity.PACK and any(each.is_item for each in parsed)
    parent = next(iter(cases.values())) if packs and len(cases) == 1 else None
    findings = []
    for each in parsed:
        if parent is not None and each.is_case:
            continue
        orphan = packs and parent is None
        activity = Activity.OBSERVE if orphan else order.activity
        scan = Scan(
            ts=captured_at_ms,
            code=each.code.text,
            symbology=each.code.symbology,
            aim=each.code.aim,
            activity=activity,
            reference=order.reference,
            parent=_parent_text(parent) if parent and each.is_item else "",
            to=order.to,
            image=image,
        )
        findings.append(_judge(each, scan, orphan=orphan))
    return findings


def _judge(parsed: _Parsed, scan: Scan, *, orphan: bool) -> Finding:
    if parsed.identifier is None and not _looks_like_gs1(parsed.code):
        return Finding(parsed.code, None, Verdict.UNKNOWN, parsed.reason)
    try:
        decode_event(Kind.SCAN, encode_event(scan))
    except MessageError as error:
        return Finding(parsed.code, None, Verdict.UNKNOWN, error.message)
    if parsed.identifier is None:
        return Finding(parsed.code, scan, Verdict.UNKNOWN, parsed.reason)
    if orphan:
        return Finding(parsed.code, scan, Verdict.NO_PARENT, "the picture does not show exactly one case label")
    return Finding(parsed.code, scan, Verdict.OK)


def _parse(code: Code) -> _Parsed:
    try:
        return _Parsed(code, gs1.parse(code.text, code.aim), "")
    except CodeError as error:
        return _Parsed(code, None, error.message)


def _looks_like_gs1(code: Code) -> bool:
    """Whether a text that could not be parsed claims to be a GS1 code or stands on a label as a web address."""
    return code.text.startswith(("(", "http:", "https:", "HTTP:", "HTTPS:")) or code.aim in gs1.GS1_AIMS


def _parent_text(parent: _Parsed) -> str:
    """Return the case label's text, or its canonical URI where the text says nothing without its AIM identifier."""
    try:
        gs1.parse(parent.code.text)
    except CodeError:
        return parent.identifier.uri if parent.identifier else ""
    return parent.code.text
