"""From a draft to versions that count: proposed, reported on, published or dropped."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import shapely
from psycopg.types.json import Json, Jsonb

from geofence.maps import AtomMap
from geofence.proposed.remarks import Remark, RemarkCode, Severity
from geofence.proposed.reports import Network, Proposal, report
from geofence.territory import TerritoryBook, TerritoryVersion
from trace_service.channel.importer import load_channel
from trace_service.channel.tree import path_at
from trace_service.channel.versions import Channel
from trace_service.processing.books import Books
from trace_service.store.connection import Connection, one
from trace_service.territories.documents import Stated
from trace_service.territories.errors import DraftDecidedError, DraftMissingError, DraftRefusedError
from trace_service.territories.queries import SQL

MOST_SHOWN = 500


@dataclass(frozen=True, slots=True)
class Published:
    """The rows that a draft became, and what its report said."""

    draft: int
    territories: tuple[int, ...]
    remarks: tuple[Remark, ...]
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Decision:
    """Who publishes, which concerns they take responsibility for, and whether past scans are judged again."""

    by: str
    accepted: Collection[str] = ()
    rejudge: bool = False


def propose(connection: Connection, brand: str, name: str, stated: Sequence[Stated], by: str) -> int:
    """Store proposals as a draft, which never changes; return its number."""
    proposals = Json(msgspec.to_builtins(stated))
    row = one(connection, SQL["insert_draft"], {"brand": brand, "name": name, "proposals": proposals, "by": by})
    return int(row.id)


def load_draft(connection: Connection, brand: str, number: int) -> Any:  # noqa: ANN401  a row's columns
    """Return a draft's row with its proposals as `Stated`. Raises DraftMissingError."""
    row = connection.execute(SQL["draft"], {"brand": brand, "id": number}).fetchone()
    if row is None:
        raise _missing(number)
    return row._replace(proposals=msgspec.convert(row.proposals, list[Stated]))


def report_on(connection: Connection, brand: str, stated: Sequence[Stated], atoms: AtomMap) -> list[Remark]:
    """Return what would follow from proposals, were they published now."""
    now = datetime.now(UTC)
    book = brand_book(connection, brand, atoms)
    return report(
        book, [each.proposal(now) for each in stated], network_of(load_channel(connection, brand, now), brand)
    )


def brand_book(connection: Connection, brand: str, atoms: AtomMap) -> TerritoryBook:
    """Return a brand's territories as recorded until now; an empty book where there are none."""
    found = Books(atoms).current(connection).get(brand)
    return found.territories if found else TerritoryBook(atoms, ())


def network_of(channel: Channel, brand: str) -> Network:
    """Return who stands below whom in a brand, at any moment."""

    def path(dealer: str, moment: datetime) -> list[str]:
        line = channel.line("dealer", dealer)
        version = line.at(moment) if line and line.brand == brand else None
        return [] if version is None or version.ended else path_at(channel, dealer, moment)

    products = (channel.lines["product", key] for key in channel.keys("product"))
    lines = {version.facts.get("product_line") for line in products for version in line.versions}
    return Network(path, frozenset(str(each) for each in lines if each))


def publish(connection: Connection, brand: str, number: int, atoms: AtomMap, decision: Decision) -> Published:
    """Make versions of a draft, all or none.

    Raises DraftMissingError, DraftDecidedError, and DraftRefusedError with the remarks that stand against it.
    """
    with connection.transaction():
        connection.execute(SQL["lock"])
        draft = connection.execute(SQL["draft_to_decide"], {"brand": brand, "id": number}).fetchone()
        if draft is None:
            raise _missing(number)
        if draft.state != "draft":
            raise DraftDecidedError(f"draft {number} is {draft.state} already", advice="Make a new draft.")
        now: datetime = one(connection, SQL["clock"]).now
        proposals = [each.proposal(now) for each in msgspec.convert(draft.proposals, list[Stated])]
        network = network_of(load_channel(connection, brand, now), brand)
        remarks = report(brand_book(connection, brand, atoms), proposals, network)
        _refuse(number, remarks, decision.accepted)
        known = {each.where for each in remarks if each.code is RemarkCode.NO_CHANGE}
        fresh = [each for each in proposals if each.where not in known]
        ids = tuple(_insert(connection, brand, number, each) for each in fresh)
        row = {"state": "published", "now": now, "by": decision.by, "accepted": sorted(decision.accepted),
               "report": Jsonb([as_row(each) for each in remarks]), "map_version": atoms.version}  # fmt: skip
        connection.execute(SQL["decide_draft"], {"brand": brand, "id": number, **row})
        if decision.rejudge and fresh:
            dealers = sorted({each.version.dealer for each in fresh})
            since = min(each.version.valid_from for each in fresh)
            connection.execute(SQL["reevaluate"], {"brand": brand, "dealers": dealers, "since": since})
    return Published(number, ids, tuple(remarks), now)


def drop(connection: Connection, brand: str, number: int, by: str) -> None:
    """Put a draft aside for good. Raises DraftMissingError and DraftDecidedError."""
    with connection.transaction():
        draft = connection.execute(SQL["draft_to_decide"], {"brand": brand, "id": number}).fetchone()
        if draft is None:
            raise _missing(number)
        if draft.state != "draft":
            raise DraftDecidedError(f"draft {number} is {draft.state} already", advice="")
        row = {"state": "dropped", "now": datetime.now(UTC), "by": by, "accepted": [], "report": None}
        connection.execute(SQL["decide_draft"], {"brand": brand, "id": number, "map_version": None, **row})


def as_row(remark: Remark) -> dict[str, Any]:
    """Return a remark for machines, with its English words and up to MOST_SHOWN divisions."""
    return {
        "severity": remark.severity.value, "code": remark.code.value, "where": remark.where, "dealer": remark.dealer,
        "other": remark.other, "channel": remark.channel, "product_line": remark.product_line,
        "starts": remark.starts.isoformat() if remark.starts else None,
        "ends": remark.ends.isoformat() if remark.ends else None,
        "adcodes": list(remark.adcodes[:MOST_SHOWN]), "count": len(remark.adcodes), "km2": round(remark.patch.km2, 3),
        "detail": remark.detail, "message": remark.words,
    }  # fmt: skip


def _refuse(number: int, remarks: Sequence[Remark], accepted: Collection[str]) -> None:
    against = [
        each
        for each in remarks
        if each.severity is Severity.ERROR or (each.severity is Severity.CONCERN and each.code.value not in accepted)
    ]
    if against:
        codes = sorted({each.code.value for each in against})
        raise DraftRefusedError(
            f"draft {number} is refused: {against[0].where}: {against[0].words}", against,
            advice=f"Correct it, or accept what is meant so; against it stand: {', '.join(codes)}.",
        )  # fmt: skip


def _insert(connection: Connection, brand: str, draft: int, proposal: Proposal) -> int:
    return int(one(connection, SQL["insert_version"], {"brand": brand, "draft": draft, **columns(proposal.version)}).id)


def columns(version: TerritoryVersion) -> dict[str, Any]:
    """Return a version as the columns of trace.territory."""
    return {
        "dealer": version.dealer, "channel": version.channel, "product_line": version.product_line,
        "adcodes": list(version.adcodes), "exclusive": version.exclusive, "valid_from": version.valid_from,
        "valid_to": version.valid_to, "recorded_at": version.recorded_at, "sha256": bytes.fromhex(version.sha256),
        "polygon": None if version.polygon is None else shapely.to_wkb(version.polygon, byte_order=1),
    }  # fmt: skip


def _missing(number: int) -> DraftMissingError:
    return DraftMissingError(f"there is no draft {number}", advice="See `codefence territory drafts`.")
