"""Where labels come from: counters of TC20 codes, running SSCCs, copies of one GTIN, or lines of text."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from itertools import islice
from typing import Protocol

from contracts.errors import CodeError
from contracts.gs1 import check_digit, label_uri, parse
from contracts.tc20_bulk import BulkTc20
from trace_service.codes.book import is_within
from trace_service.codes.ssccs import BODY_DIGITS
from trace_service.labels.elements import bracketed, six_digits
from trace_service.labels.model import Kind, Label, LabelError


class Source(Protocol):
    """Labels by running number: counters, serial numbers, copies or lines."""

    @property
    def identity(self) -> Mapping[str, str]:
        """What sets this source apart from others whose labels must not be mixed with its own; never a secret."""
        ...

    def labels(self, first: int, count: int) -> Iterator[Label]:
        """Yield the labels of `count` numbers from `first` on; a number that is excluded has none."""
        ...


@dataclass(frozen=True)
class Items:
    """Items of one product: Digital Links, or element strings with lot and expiry date.

    `excluded` are ranges of counters without a label, in order and apart.
    """

    codec: BulkTc20
    tenant: str
    gtin: str
    kind: Kind
    host: str
    lot: str = ""
    expires: date | None = None
    excluded: Sequence[tuple[int, int]] = ()

    @property
    def identity(self) -> Mapping[str, str]:
        """The product, its tenant, the epoch, and what else goes into the symbol."""
        return {
            "tenant": self.tenant,
            "gtin": self.gtin,
            "epoch": str(self.codec.epoch),
            "host": self.host,
            "lot": self.lot,
            "expires": self.expires.isoformat() if self.expires else "",
            # Two masters have different serials; neither a master nor a serial is written down.
            "key": sha256(self.codec.issue(self.gtin, 0, 1)[0]).hexdigest()[:16],
        }

    def labels(self, first: int, count: int) -> Iterator[Label]:
        """Yield the labels of counters."""
        before, after = self._around()
        number = first
        for piece in self.codec.chunks(self.gtin, first, count):
            for serial in piece.astype(str).tolist():
                if not is_within(self.excluded, number):
                    data = f"{before}{serial}{after}"
                    values = {"serial": serial, "counter": str(number), "data": data}
                    yield Label(f"{self.gtin}-{serial}", data, values)
                number += 1

    def _around(self) -> tuple[str, str]:
        """Return what stands before and after the serial."""
        if self.kind is Kind.QR:
            return label_uri(self.host, self.gtin, ""), ""
        dates = [("17", six_digits(self.expires))] if self.expires else []
        lots = [("10", self.lot)] if self.lot else []
        before, after = bracketed([("01", self.gtin), *dates]) + "(21)", bracketed(lots)
        parse(f"{before}0{after}")  # a lot that AI (10) may not hold is noticed here
        return before, after


@dataclass(frozen=True)
class Units:
    """Cases and pallets: SSCCs that begin with `prefix`, extension digit and company prefix, and count from there."""

    prefix: str
    kind: Kind
    host: str

    @property
    def identity(self) -> Mapping[str, str]:
        """The prefix, and the host of Digital Links."""
        return {"prefix": self.prefix, "host": self.host}

    def labels(self, first: int, count: int) -> Iterator[Label]:
        """Yield the labels of serial numbers."""
        width = BODY_DIGITS - len(self.prefix)
        if first + count > 10**width:
            raise LabelError(
                f"after {self.prefix} an SSCC has room for {10**width} numbers", advice="Use another extension digit."
            )
        for number in range(first, first + count):
            body = f"{self.prefix}{number:0{width}}"
            sscc = f"{body}{check_digit(body)}"
            data = f"HTTPS://{self.host.upper()}/00/{sscc}" if self.kind is Kind.QR else f"(00){sscc}"
            yield Label(sscc, data, {"sscc": sscc, "counter": str(number), "data": data})


@dataclass(frozen=True)
class Copies:
    """The same label over and over: cases of one product, by their GTIN-14 alone."""

    gtin: str
    kind: Kind
    host: str

    @property
    def identity(self) -> Mapping[str, str]:
        """The product, and the host of Digital Links."""
        return {"gtin": self.gtin, "host": self.host}

    def labels(self, first: int, count: int) -> Iterator[Label]:
        """Yield copies, numbered in their names."""
        data = _data(self.kind, self.host, f"/01/{self.gtin}", (("01", self.gtin),))
        for number in range(first, first + count):
            yield Label(f"{self.gtin}-{number:09}", data, {"counter": str(number), "data": data})


class Lines:
    """Identifiers in any of GS1's forms, one a line; blank lines are passed over, the others are numbered from 0."""

    def __init__(self, lines: Iterable[str], kind: Kind, host: str) -> None:
        self._lines = ((at, line.strip()) for at, line in enumerate(lines, start=1) if line.strip())
        self._kind, self._host = kind, host
        self._read = 0

    @property
    def identity(self) -> Mapping[str, str]:
        """The host of Digital Links; that the lines are the same is for the caller to know."""
        return {"lines": "standard input", "host": self._host}

    def labels(self, first: int, count: int) -> Iterator[Label]:
        """Yield the labels of lines; those before `first` that nobody asked for are skipped."""
        for _ in islice(self._lines, first - self._read):
            self._read += 1
        for at, line in islice(self._lines, count):
            self._read += 1
            yield self._label(self._read - 1, at, line)

    def _label(self, number: int, at: int, line: str) -> Label:
        text = f"(00){line}" if line.isdigit() and len(line) == BODY_DIGITS + 1 else line
        text = f"(01){line}" if line.isdigit() and len(line) == 14 else text  # noqa: PLR2004  a GTIN-14
        try:
            found = parse(text)
        except CodeError as error:
            raise LabelError(f"line {at}: {line[:80]!r}: {error}", advice="Correct the line.") from error
        data = _data(self._kind, self._host, found.key, found.elements)
        values = dict(found.elements)
        shown = {"sscc": values.get("00", ""), "gtin": values.get("01", ""), "serial": values.get("21", "")}
        return Label(f"{number:09}-{_file_name(found.key)}", data, {**shown, "counter": str(number), "data": data})


def _data(kind: Kind, host: str, key: str, elements: Iterable[tuple[str, str]]) -> str:
    if kind is Kind.QR:
        return f"HTTPS://{host.upper()}{key}"
    if kind is not Kind.ITF14:
        return bracketed(elements)
    if not key.startswith("/01/") or key.count("/") > 2:  # noqa: PLR2004  a GTIN and nothing else
        raise LabelError(f"{key} is no GTIN alone", advice="An ITF-14 holds nothing but a GTIN.")
    return key.removeprefix("/01/")


def _file_name(key: str) -> str:
    return key.removeprefix("/").replace("/", "-").replace("%", "_")
