"""Cases and pallets that are built one scan at a time and close at their size. Pure."""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec
from msgspec import Struct

from contracts.gs1 import Identifier
from contracts.messages import Scan
from edge.station.verdict import Verdict


class Member(Struct, frozen=True):
    """A unit that goes into the package: its key, product, and the scan that will tell of it."""

    key: str
    gtin: str
    scan: Scan


class Package(Struct, frozen=True):
    """What is being built: nothing is told of its members before it closes with its label."""

    kind: str
    size: int
    label: str = ""
    label_key: str = ""
    members: tuple[Member, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether it has its label and as many members as it takes."""
        return bool(self.label and self.size and len(self.members) >= self.size)

    def scans(self) -> list[Scan]:
        """Return the scans of a closed package, each with the label as its parent."""
        return [msgspec.structs.replace(member.scan, parent=self.label) for member in self.members]

    def fresh(self) -> "Package":
        """Return the next package of the same kind."""
        return Package(self.kind, self.size)


class Step(NamedTuple):
    """What a scan did to a package."""

    verdict: Verdict
    reason: str
    package: Package


def put(package: Package, identifier: Identifier, scan: Scan, label: str, items_per_case: int) -> Step:
    """Put what was scanned into a package, or take it as its label.

    `label` is how a logistic unit's label is named in events, `items_per_case` the product's own figure, 0 where
    nobody knows it. In a case every item is of one product.
    """
    key, logistic = identifier.key, identifier.key.startswith("/00/")
    objection = next(_objections(package, identifier), None)
    if objection:
        return Step(*objection, package)
    if logistic and not package.label:
        return Step(Verdict.OK, "label", msgspec.structs.replace(package, label=label, label_key=key))
    size = package.size or (items_per_case if package.kind == "case" else 0)
    members = (*package.members, Member(key, identifier.gtin, scan))
    return Step(Verdict.OK, f"{len(members)}/{size}", msgspec.structs.replace(package, size=size, members=members))


def _objections(package: Package, identifier: Identifier) -> Iterator[tuple[Verdict, str]]:
    key, logistic = identifier.key, identifier.key.startswith("/00/")
    if any(member.key == key for member in package.members) or key == package.label_key:
        yield Verdict.DUPLICATE, "in_this_package"
    if not (logistic or identifier.is_item):
        yield Verdict.WRONG_ITEM, "no_serial"
    if logistic and not package.label:
        return
    if logistic != (package.kind == "pallet"):
        yield Verdict.WRONG_ITEM, "close_first" if logistic else "cases_due"
    if package.members and package.kind == "case" and package.members[0].gtin != identifier.gtin:
        yield Verdict.WRONG_ITEM, "mixed_case"
    if package.size and len(package.members) >= package.size:
        yield Verdict.OVER_QUANTITY, "label_due"
