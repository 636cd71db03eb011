"""An alert that rests on papers alone: what it cites, what its case is worth, and what an outsider is handed."""

import base64
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asking
import httpx
import pytest
from case_parts import BRAND, PASSWORD, do, hire, only
from conftest import TestDatabase
from console_world import World, running
from pydantic import SecretStr
from trace_market import KEYS, Market

from geofence.maps import AtomMap
from trace_service.cases.machine import Action, State
from trace_service.cases.pack import write_pack
from trace_service.cases.verify import verify_pack
from trace_service.epcis.capture import Behaviour
from trace_service.epcis.capture import capture as capture_epcis
from trace_service.settings import TraceSettings

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
KEY = base64.b64encode(bytes(range(32))).decode()


@pytest.fixture
def market(database: TestDatabase, atoms: AtomMap) -> Iterator[Market]:
    market = Market(database, atoms)
    yield market
    market.close()


def rebind(market: Market, cases: list[dict[str, Any]], to: str, *approvers: str) -> str:
    """Bind cases to another dealer with so many approvers; return the name of the EPCIS event."""
    event = {
        "type": "ObjectEvent", "eventID": "urn:uuid:8d0f6f6e-6b5e-4f0f-9f0e-2c5b1a3d4e5f",
        "eventTime": (START + timedelta(days=3)).isoformat(), "eventTimeZoneOffset": "+08:00", "action": "OBSERVE",
        "bizStep": "urn:codefence:step:rebinding", "readPoint": {"id": "urn:codefence:site:dc-east"},
        "epcList": [f"https://id.gs1.org/00/{case['sscc']}" for case in cases],
        "destinationList": [{"type": "owning_party", "destination": f"urn:codefence:dealer:{to}"}],
        "bizTransactionList": [{"type": "desadv", "bizTransaction": "urn:codefence:shipment:RB-1"}],
        "cf:approvers": list(approvers),
    }  # fmt: skip
    document = {
        "@context": [
            "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",
            {"cf": "urn:codefence:"},
        ],
        "type": "EPCISDocument", "schemaVersion": "2.0", "creationDate": START.isoformat(),
        "epcisBody": {"eventList": [event]},
    }  # fmt: skip
    capture_epcis(market.connection, (BRAND, "erp"), document, Behaviour.PROCEED, moment=START + timedelta(days=3))
    return str(event["eventID"])


@pytest.fixture
def name(market: Market) -> str:
    cases = market.cases_to("D-CHENGDU")[:4]
    for case in cases:
        market.land(*market.pack(case), market.ship(case, "D-CHENGDU"), market.consumer(case["items"][0], "chengdu"))
    market.drain()
    found = rebind(market, cases, "D-NANJING", "li.wei")
    market.drain()
    return found


def test_a_case_of_papers_alone_is_worth_its_goods_so_that_two_persons_close_it(market: Market, name: str) -> None:
    assert name
    people = hire(market.database.owner_dsn)
    assert market.rows("SELECT kind, cases, scans FROM trace.alert") == [("rebind", 4, 0)]
    assert market.rows("SELECT reason #> '{parameters,approvers}' FROM trace.alert") == [(["li.wei"],)]
    # Four cases of six, of each of which one item was scanned by its buyer.
    prices = {row[0] for row in market.rows("SELECT DISTINCT unit_price FROM trace.product")}
    found = only(market)
    assert found.remaining == 4 * 5
    assert min(prices) * 20 <= found.value <= max(prices) * 20
    assert found.priority > 0
    assert found.first_seen == found.last_seen == START + timedelta(days=3)
    with market.connection.transaction():
        market.connection.execute(
            "INSERT INTO trace.case_policy (brand, daily_budget, audit_share, two_person_value, loss_share,"
            " deadline_days, benign_days, zone, digest_at, recorded_by)"
            " VALUES (%s, 12, 0.05, 1, 0.3, 14, 180, 'Asia/Shanghai', '0 8 * * *', 'test')",
            (BRAND,),
        )
    assert do(market, people["wang"], found.id, Action.CLOSE, outcome="confirmed").state is State.PROPOSED


def test_what_two_persons_of_the_brand_change_before_the_goods_have_come_is_bound_anew_and_accuses_nobody(
    market: Market,
) -> None:
    cases = market.cases_to("D-CHENGDU")[:2]
    for case in cases:
        market.land(*market.pack(case), market.ship(case, "D-CHENGDU"))
    market.drain()
    rebind(market, cases, "D-NANJING", "li.wei", "wang.min")
    market.drain()
    assert market.rows("SELECT approvers FROM trace.custody_event WHERE biz_step = 'rebinding' LIMIT 1") == [
        (["li.wei", "wang.min"],)
    ]
    assert market.rows("SELECT count(*) FROM trace.quarantine") == [(0,)]
    assert market.rows("SELECT DISTINCT dealer FROM trace.binding WHERE valid_to IS NULL") == [("D-NANJING",)]
    assert market.rows("SELECT count(*) FROM trace.alert") == [(0,)]


def test_its_page_and_pack_lead_to_the_document_that_changed_the_binding(
    market: Market, name: str, tmp_path: Path
) -> None:
    hire(market.database.owner_dsn)
    with (tmp_path / "pack.zip").open("w+b") as target:
        write_pack(market.connection, KEYS, BRAND, only(market).id, target)
    assert verify_pack(tmp_path / "pack.zip").case == only(market).id
    with zipfile.ZipFile(tmp_path / "pack.zip") as pack:
        (record,) = json.loads(pack.read("records.json"))
        custody = json.loads(pack.read("custody.json"))
    assert (record["document_id"], record["document"]["cf:approvers"]) == (name, ["li.wei"])
    assert {each["biz_step"] for each in custody} >= {"shipping", "rebinding"}
    settings = TraceSettings(database_url=SecretStr(market.database.trace_dsn), key_encryption_key=SecretStr(KEY))
    with running(World(market.database.owner_dsn, settings, 0, 0, [])) as site, signed_in(site.url) as client:
        ((number,),) = market.rows("SELECT id FROM trace.alert")
        page = client.get(f"/alerts/{number}").text
        event = record["event"]
        link = f"/scans/{event['device']}/{event['boot']}/{event['seq']}"
        assert link in page[page.index('id="records"') :]
        document = client.get(link)
        assert document.status_code == 200
        assert name in document.text
        assert "li.wei" in document.text
        assert 'id="records"' in client.get(f"/cases/{only(market).id}").text
        assert client.get(link.replace("/epcis/", "/nobody/")).status_code == 404


@contextmanager
def signed_in(url: str) -> Iterator[httpx.Client]:
    with asking.Client(base_url=url, headers={"Origin": url, "Accept-Language": "en"}) as client:
        token = client.get("/login").text.partition('name="csrf" value="')[2].partition('"')[0]
        assert client.post("/login", data={"login": "lin", "password": PASSWORD, "csrf": token}).status_code == 303
        yield client
