"""The project's own events as EPCIS: a market's custody leaves as valid documents under ids that stay."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from click.testing import CliRunner
from conftest import TestDatabase
from epcis_parts import BRAND, CASE, GTIN, SHOP_GLN, Interface, make_brands, serving

from trace_service.domain.events import Event, Source, Step
from trace_service.epcis.cli import epcis
from trace_service.epcis.standard.hashing import event_hash
from trace_service.processing.capture import capture
from trace_service.store.connection import connect

BOOT = UUID("6f1d2c3b-4a59-4687-9f10-2b3c4d5e6f70")
START = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
ITEM = f"/01/{GTIN}/21/A1"


def _journey() -> list[Event]:
    steps: list[tuple[str, Step, str, dict[str, Any]]] = [
        (ITEM, Step.COMMISSION, "factory", {}),
        (CASE, Step.COMMISSION, "factory", {}),
        (ITEM, Step.PACK, "factory", {"parent": CASE}),
        (CASE, Step.SHIP, "dc", {"dealer": "D-EAST", "shipment": "SO 17/2"}),
        (CASE, Step.RECEIVE, "shop", {}),
        (ITEM, Step.UNPACK, "shop", {"parent": CASE}),
        (ITEM, Step.SELL, "shop", {}),
        (ITEM, Step.RETURN, "shop", {}),
        (f"/01/{GTIN}/10/L1", Step.RECALL, "factory", {"reason": "taste"}),
        (ITEM, Step.DESTROY, "shop", {}),
    ]
    return [
        Event(unit, step, site, START + timedelta(hours=number), Source("station", BOOT, number), **more)
        for number, (unit, step, site, more) in enumerate(steps)
    ]


def _tell(database: TestDatabase, events: list[Event]) -> None:
    with connect(database.trace_dsn, "tests") as connection, connection.transaction():
        refused = {source: why for source, why in capture(connection, BRAND, events).items() if why}
    assert refused == {}


def _export(monkeypatch: pytest.MonkeyPatch, database: TestDatabase, *arguments: str) -> dict[str, Any]:
    monkeypatch.setenv("TRACE_DATABASE_URL", database.trace_dsn)
    monkeypatch.setenv("TRACE_KEY_ENCRYPTION_KEY", "A" * 43 + "=")
    answer = CliRunner().invoke(epcis, ["export", "--brand", BRAND, *arguments])
    assert answer.exit_code == 0, answer.output
    exported: dict[str, Any] = json.loads(answer.stdout)
    return exported


def test_a_journey_is_exported_as_valid_epcis(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    make_brands(database.owner_dsn)
    _tell(database, _journey())
    exported = _export(monkeypatch, database)
    events = exported["epcisBody"]["eventList"]
    assert [each["bizStep"] for each in events] == [
        "commissioning", "commissioning", "packing", "shipping", "receiving", "unpacking", "retail_selling", "shipping",
        "holding", "destroying",
    ]  # fmt: skip
    assert events[3]["bizTransactionList"][0]["bizTransaction"] == "urn:codefence:shipment:acme:SO%2017%2F2"
    assert events[4]["bizLocation"] == {"id": f"https://id.gs1.org/414/{SHOP_GLN}"}
    assert all(each["eventID"] == event_hash(each) for each in events)
    file = tmp_path / "export.json"
    file.write_text(json.dumps(exported), "utf-8")
    checked = CliRunner().invoke(epcis, ["validate", "--strict", str(file)])
    assert json.loads(checked.stdout)["errors"] == []
    listed = exported["epcisHeader"]["epcisMasterData"]["vocabularyList"]
    vocabularies = {each["type"].rpartition(":")[2] for each in listed}
    assert vocabularies == {"ReadPoint", "BusinessLocation", "SourceDest", "EPCClass"}
    part = _export(monkeypatch, database, "--from", "2026-03-01T03:00:00", "--to", "2026-03-01T05:00:00")
    assert [each["eventID"] for each in part["epcisBody"]["eventList"]] == [each["eventID"] for each in events[1:3]]


def test_own_events_can_be_queried_and_a_correction_is_a_declaration(database: TestDatabase) -> None:
    with serving(database) as interface:
        _tell(database, _journey()[:4])
        shipped = _query(interface, "EQ_bizStep=shipping")
        assert [each["destinationList"][0]["destination"] for each in shipped] == ["urn:codefence:dealer:D-EAST"]
        assert _query(interface, "EQ_bizTransaction_desadv=urn:codefence:shipment:acme:SO%252017%252F2") == shipped
        wrong = _journey()[3]
        moment = START + timedelta(days=1)
        correction = Event(
            CASE, Step.CORRECT, "dc", moment, Source("desk", BOOT, 1), reason="did_not_occur", corrects=wrong.source
        )
        _tell(database, [correction])
        (declared,) = _query(interface, "EXISTS_errorDeclaration=true")
        assert declared["eventID"] == shipped[0]["eventID"]
        assert declared["errorDeclaration"] == {
            "declarationTime": "2026-03-02T02:00:00.000Z",
            "reason": "did_not_occur",
        }


def _query(interface: Interface, query: str) -> list[dict[str, Any]]:
    answer = interface.client.get(f"/events?{query}")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["epcisBody"]["queryResults"]["resultsBody"]["eventList"]
    return found
