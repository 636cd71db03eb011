"""Capture against the real database: all or nothing, what is right, custody's word, and whose codes they are."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from conftest import TestDatabase
from epcis_parts import BRAND, CASE, OTHER_GTIN, SHOP_GLN, WAREHOUSE_GLN, document, event, item, make_brands
from psycopg.sql import SQL, Identifier

from trace_service.epcis.capture import Behaviour, Job, capture
from trace_service.epcis.standard.errors import InvalidDocumentError
from trace_service.store.connection import Connection, connect


@pytest.fixture
def connection(database: TestDatabase) -> Iterator[Connection]:
    make_brands(database.owner_dsn)
    with connect(database.trace_dsn, "epcis tests") as connection:
        yield connection


def _send(connection: Connection, *events: dict[str, Any], proceed: bool = False, brand: str = BRAND) -> Job:
    behaviour = Behaviour.PROCEED if proceed else Behaviour.ROLLBACK
    return capture(connection, (brand, "erp"), document(*events), behaviour)


def _count(connection: psycopg.Connection[Any], table: str) -> int:
    row = connection.execute(SQL("SELECT count(*) FROM trace.{}").format(Identifier(table))).fetchone()
    assert row is not None
    return int(row[0])


def _codes(job: Job) -> list[tuple[str, str]]:
    return [(problem.pointer, problem.code) for problem in job.problems]


def _packing(serials: list[str], **more: Any) -> dict[str, Any]:  # noqa: ANN401  JSON
    return {
        "type": "AggregationEvent",
        "eventTime": "2026-03-01T10:10:00Z",
        "eventTimeZoneOffset": "+08:00",
        "action": "ADD",
        "bizStep": "packing",
        "parentID": f"https://id.gs1.org{CASE}",
        "childEPCs": [item(serial) for serial in serials],
        "readPoint": {"id": "urn:codefence:site:factory"},
        **more,
    }


def test_a_document_makes_custody_and_is_stored_once(connection: Connection) -> None:
    shipping = {
        **event([], "shipping", WAREHOUSE_GLN, eventTime="2026-03-01T11:00:00Z"),
        "epcList": [f"https://id.gs1.org{CASE}"],
        "bizTransactionList": [{"type": "desadv", "bizTransaction": "urn:epcglobal:cbv:bt:9506000134307:SO-17"}],
        "destinationList": [
            {"type": "possessing_party", "destination": f"urn:epc:id:pgln:{SHOP_GLN[:7]}.{SHOP_GLN[7:12]}"}
        ],
    }
    case = {**event([], "commissioning"), "epcList": [f"https://id.gs1.org{CASE}"]}
    events = [event(["A1", "A2"], "commissioning"), case, _packing(["A1", "A2"]), shipping]
    job = _send(connection, *events)
    assert _codes(job) == []
    bound = connection.execute("SELECT unit, dealer, shipment FROM trace.binding WHERE valid_to IS NULL").fetchall()
    assert bound == [(CASE, "D-EAST", "SO-17")]
    assert _count(connection, "containment") == 2
    again = _send(connection, *events)
    assert again.success
    assert again.stored == job.stored
    assert (_count(connection, "epcis_event"), _count(connection, "custody_event")) == (4, 6)


def test_one_bad_event_takes_the_others_back_unless_asked_to_proceed(connection: Connection) -> None:
    good, bad = event("A1", "commissioning"), event("A2", "teleporting")
    job = _send(connection, good, bad)
    assert _codes(job) == [("/epcisBody/eventList/1/bizStep", "NOT_IN_VOCABULARY")]
    assert not job.success
    assert _count(connection, "epcis_event") == 0
    job = _send(connection, good, bad, proceed=True)
    assert _codes(job) == [("/epcisBody/eventList/1/bizStep", "NOT_IN_VOCABULARY")]
    assert (_count(connection, "epcis_event"), _count(connection, "custody_event")) == (1, 1)
    assert _count(connection, "epcis_capture") == 2


def test_what_custody_refuses_rolls_back_or_is_quarantined(connection: Connection) -> None:
    commissioned = event("A1", "commissioning")
    unknown = event("Z9", "shipping", eventTime="2026-03-01T11:00:00Z")
    job = _send(connection, commissioned, unknown)
    assert [pointer for pointer, _ in _codes(job)] == ["/epcisBody/eventList/1"]
    assert (_count(connection, "epcis_event"), _count(connection, "quarantine")) == (0, 0)
    job = _send(connection, commissioned, unknown, proceed=True)
    assert not job.success
    assert (_count(connection, "epcis_event"), _count(connection, "quarantine")) == (2, 1)


@pytest.mark.parametrize(
    ("link", "code"),
    [
        (item("A1", OTHER_GTIN), "FOREIGN_UNIT"),
        (item("A1", "04012345111118"), "FOREIGN_UNIT"),
        (item("A1", "09506000134353"), "CHECK_DIGIT"),
    ],
)
def test_codes_of_others_and_impossible_ones_are_refused(connection: Connection, link: str, code: str) -> None:
    job = _send(connection, event("A1", "commissioning"), event(link, "receiving"), proceed=True)
    assert [found for _, found in _codes(job)] == [code]
    assert _count(connection, "epcis_event") == 1


def test_an_id_names_one_event(connection: Connection) -> None:
    first = event("A1", "commissioning", eventID="urn:uuid:0b9d3c5e-6f1a-4f61-9d15-1d7d8f0a2c11")
    job = _send(connection, first, {**first, "epcList": [item("A2")]}, proceed=True)
    assert _codes(job) == [("/epcisBody/eventList/1/eventID", "EVENT_EXISTS")]
    assert _codes(_send(connection, {**first, "disposition": "active"})) == [
        ("/epcisBody/eventList/0/eventID", "EVENT_EXISTS")
    ]


def test_an_error_declaration_takes_its_event_back_from_custody(connection: Connection) -> None:
    commissioned = event("A1", "commissioning")
    _send(connection, commissioned)
    declared = {
        **commissioned,
        "errorDeclaration": {"declarationTime": "2026-03-02T00:00:00Z", "reason": "did_not_occur"},
    }
    assert _codes(_send(connection, declared)) == []
    corrected = connection.execute(
        "SELECT biz_step, reason, corrects_device, corrects_seq FROM trace.custody_event ORDER BY id"
    ).fetchall()
    assert [tuple(row) for row in corrected] == [
        ("commissioning", None, None, None),
        ("error_declaration", "did_not_occur", "epcis", 0),
    ]


def test_a_document_that_is_wrong_as_a_whole_is_no_job(connection: Connection) -> None:
    outside = document(event("A1", "commissioning")) | {"@context": "https://evil.example/context.jsonld"}
    with pytest.raises(InvalidDocumentError) as refused:
        capture(connection, (BRAND, "erp"), outside, Behaviour.PROCEED)
    assert refused.value.problems[0].code == "CONTEXT_UNKNOWN"
    assert _count(connection, "epcis_capture") == 0
