"""A brand's events and master data as one EPCIS document, written as it is read: its size costs no memory."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from trace_service.epcis.own import dealer_uri, site_uri
from trace_service.epcis.projection import project
from trace_service.epcis.queries import SQL
from trace_service.epcis.querying.answers import written
from trace_service.epcis.querying.parameters import read_search
from trace_service.epcis.querying.search import Found, find
from trace_service.epcis.standard import namespaces
from trace_service.epcis.standard.links import HOST
from trace_service.store.connection import Connection

_PAGE: Final = 500
_ATTRIBUTE: Final = "urn:epcglobal:cbv:mda#"
_TYPE: Final = "urn:epcglobal:epcis:vtype:"


def export(connection: Connection, brand: str, since: datetime | None, until: datetime | None) -> Iterator[bytes]:
    """Yield an EPCISDocument of all events from `since` until before `until`, ordered by time, in parts."""
    project(connection, brand)
    head = {
        "@context": [namespaces.CONTEXT],
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": written(datetime.now(UTC)),
        "epcisHeader": {"epcisMasterData": {"vocabularyList": master_data(connection, brand)}},
    }
    yield msgspec.json.encode(head)[:-1] + b',"epcisBody":{"eventList":['
    for number, found in enumerate(_events(connection, brand, since, until)):
        yield (b",\n" if number else b"\n") + msgspec.json.encode(_alone(found))
    yield b"\n]}}\n"


def _events(connection: Connection, brand: str, since: datetime | None, until: datetime | None) -> Iterator[Found]:
    bounds = {"GE_eventTime": since, "LT_eventTime": until}
    parameters = {name: [written(moment)] for name, moment in bounds.items() if moment is not None}
    search = read_search({**parameters, "orderDirection": ["ASC"]}, namespaces.STANDARD)
    page = find(connection, brand, search, _PAGE)
    yield from page.events
    while page.after is not None:
        page = find(connection, brand, search, _PAGE, page.after)
        yield from page.events


def _alone(found: Found) -> dict[str, Any]:
    """Return an event that brings its own prefixes: those of later events are not known when the head is written."""
    event = {**found.event, "recordTime": written(found.record_time)}
    return {"@context": [found.prefixes], **event} if found.prefixes else event


def master_data(connection: Connection, brand: str) -> list[dict[str, Any]]:
    """Return sites, dealers and products as the standard's vocabularies."""
    query = {"brand": brand}
    sites = [
        _element(
            site_uri(row.id, row.gln),
            {"name": row.name_zh, "siteLocation": row.id, "latitude": row.lat, "longitude": row.lon},
        )
        for row in connection.execute(SQL["brand_sites"], query)
    ]
    dealers = [
        {**_element(dealer_uri(row.id), {"name": row.name_zh}), "children": [dealer_uri(each) for each in row.children]}
        for row in connection.execute(SQL["brand_dealers"], query)
    ]
    products = [
        _element(f"{HOST}/01/{row.gtin}", {"descriptionShort": row.name_zh, "functionalName": row.name_en})
        for row in connection.execute(SQL["brand_products"], query)
    ]
    found: Sequence[tuple[str, list[dict[str, Any]]]] = [
        ("ReadPoint", sites),
        ("BusinessLocation", sites),
        ("SourceDest", dealers),
        ("EPCClass", products),
    ]
    return [{"type": f"{_TYPE}{name}", "vocabularyElementList": elements} for name, elements in found if elements]


def _element(uri: str, attributes: Mapping[str, object]) -> dict[str, Any]:
    known = {name: value for name, value in attributes.items() if value is not None}
    listed = [{"id": f"{_ATTRIBUTE}{name}", "attribute": str(value)} for name, value in known.items()]
    return {"id": uri, "attributes": listed}
