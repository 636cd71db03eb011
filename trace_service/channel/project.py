"""The present tables follow the versions: what is in force now, and the territories that contracts grant."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from psycopg.types.json import Jsonb

from geofence.coordinates import Crs, to_wgs84
from geofence.maps import AtomMap
from geofence.territory import TerritoryVersion
from trace_service.channel.contracts import Span, by_seller, spans
from trace_service.channel.queries import SQL
from trace_service.channel.tree import order_keys
from trace_service.channel.versions import Channel, Key, Version
from trace_service.store.connection import Connection

Row = dict[str, Any]


class Projector:
    """Writes the present of one brand as of `now`; everything in the caller's transaction."""

    def __init__(self, connection: Connection, channel: Channel, brand: str, now: datetime) -> None:
        self._connection = connection
        self._channel = channel
        self._brand = brand
        self._now = now

    def project(self, keys: Iterable[Key], atoms: AtomMap | None) -> None:
        """Bring the rows of these things up to date; parents come before what refers to them."""
        touched = sorted(set(keys))
        with self._connection.cursor() as cursor:
            cursor.executemany(SQL["project_product"], [self._row(key) for key in touched if key[0] == "product"])
            if any(kind == "dealer" for kind, _ in touched):
                cursor.executemany(SQL["project_dealer"], self._dealers())
            sites = [self._site(self._row(key), atoms) for key in touched if key[0] == "site"]
            cursor.executemany(SQL["project_site"], sites)
            cursor.executemany(SQL["project_device"], [self._row(key) for key in touched if key[0] == "device"])
            cursor.executemany(SQL["insert_territory"], list(self._territories(touched)))

    def _present(self, key: Key) -> Version:
        line = self._channel.lines[key]
        return line.at(self._now) or line.versions[0]

    def _row(self, key: Key) -> Row:
        version = self._present(key)
        return {**version.facts, "key": key[1], "brand": self._brand, "ended": version.ended}

    def _dealers(self) -> list[Row]:
        """Return every dealer of the brand with its place; parents first, as the foreign key wants them."""
        keys = [key for key, line in self._channel.lines.items() if key[0] == "dealer" and line.brand == self._brand]
        rows = {key[1]: self._row(key) for key in keys}
        places = order_keys({dealer: row["parent"] for dealer, row in rows.items()})
        ordered = sorted(rows, key=lambda dealer: places[dealer].lft)
        return [{**rows[dealer], **places[dealer]._asdict()} for dealer in ordered]

    def _site(self, row: Row, atoms: AtomMap | None) -> Row:
        """Return a site's row with its position in WGS-84, in which the present tables speak."""
        if row["lon"] is None or row["crs"] == Crs.WGS84 or atoms is None:
            return row
        lons, lats = to_wgs84(row["lon"], row["lat"], Crs(row["crs"]), atoms.mainland())
        return {**row, "lon": round(float(lons[0]), 7), "lat": round(float(lats[0]), 7)}

    def _territories(self, touched: Iterable[Key]) -> Iterator[Row]:
        contracts = {key for kind, key in touched if kind == "contract"}
        sellers = {
            (str(version.facts["dealer"]), str(version.facts["channel"]))
            for key in contracts
            for version in self._channel.lines["contract", key].versions
        }
        lines = by_seller(self._channel)
        known: dict[tuple[str, str], list[Any]] = defaultdict(list)
        for row in self._connection.execute(SQL["territories_of"], {"dealers": sorted({d for d, _ in sellers})}):
            known[row.dealer, row.channel].append(row)
        for seller in sorted(sellers):
            yield from self._territory_rows(seller, known[seller], spans(lines[seller], *seller))

    def _territory_rows(self, seller: tuple[str, str], known: list[Any], wanted: list[Span]) -> Iterator[Row]:
        """Yield the versions that make a dealer's territory what its contracts say; none where it is so already."""
        dealer, sales_channel = seller
        moments = {row.valid_from for row in known} | {span.starts for span in wanted}
        moments |= {row.valid_to for row in known if row.valid_to} | {span.ends for span in wanted if span.ends}
        if all(_known_at(known, moment) == _wanted_at(wanted, moment) for moment in moments):
            return
        first = min(moments)
        if not wanted or first < wanted[0].starts:
            wanted = [Span(first, wanted[0].starts if wanted else None, *_NOTHING), *wanted]
        for span in wanted:
            version = TerritoryVersion(
                dealer=dealer, channel=sales_channel, adcodes=span.adcodes, exclusive=span.exclusive,
                valid_from=span.starts, valid_to=span.ends, recorded_at=self._now,
            )  # fmt: skip
            yield {
                "dealer": dealer, "channel": sales_channel, "brand": self._brand,
                "adcodes": list(version.adcodes), "exclusive": version.exclusive,
                "valid_from": version.valid_from, "valid_to": version.valid_to, "recorded_at": version.recorded_at,
                "sha256": bytes.fromhex(version.sha256),
            }  # fmt: skip


class _Granted(NamedTuple):
    adcodes: tuple[str, ...]
    exclusive: bool


_NOTHING = _Granted((), exclusive=True)


def _known_at(rows: list[Any], moment: datetime) -> _Granted:
    """Return what the version recorded last says of a moment."""
    for row in reversed(rows):
        if row.valid_from <= moment and (row.valid_to is None or moment < row.valid_to):
            return _Granted(tuple(row.adcodes), row.exclusive) if row.adcodes else _NOTHING
    return _NOTHING


def _wanted_at(wanted: list[Span], moment: datetime) -> _Granted:
    for span in wanted:
        if span.starts <= moment and (span.ends is None or moment < span.ends):
            return _Granted(span.adcodes, span.exclusive) if span.adcodes else _NOTHING
    return _NOTHING


def version_row(brand: str | None, key: Key, version: Version, by: str) -> Row:
    """Return a version as it is stored."""
    return {
        "brand": brand,
        "kind": key[0],
        "key": key[1],
        "valid_from": version.valid_from,
        "facts": Jsonb(dict(version.facts)),
        "ended": version.ended,
        "recorded_at": version.recorded_at,
        "recorded_by": by,
    }
