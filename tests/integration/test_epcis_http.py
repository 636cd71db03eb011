"""The EPCIS interface over HTTP, as a partner's program uses it."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import asking
import httpx
import pytest
from conftest import TestDatabase, fresh_database
from epcis_parts import (
    EXTENSIONS,
    FACTORY_GLN,
    GTIN,
    WAREHOUSE_GLN,
    Interface,
    document,
    event,
    item,
    send,
    serving,
)

from cli.embedded.postgres import Database
from trace_service.epcis.validation import check


@pytest.fixture
def interface(database: TestDatabase) -> Iterator[Interface]:
    with serving(database) as made:
        yield made


@pytest.fixture(scope="module")
def shared(postgres: Database, migrated_template: str) -> Iterator[Interface]:
    """One interface with varied events, which its tests only read."""
    with fresh_database(postgres, migrated_template) as database, serving(database) as made:
        job = send(made.client, *_varied(), **{"GS1-Capture-Error-Behaviour": "proceed"})
        assert job["errors"] == []
        yield made


def _events(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["epcisBody"]["queryResults"]["resultsBody"]["eventList"]
    return found


def _serials(answer: httpx.Response) -> list[str]:
    return [event["epcList"][0].rpartition("/")[2] for event in _events(answer)]


def _sighting(serial: str, hour: int, **more: Any) -> dict[str, Any]:  # noqa: ANN401  JSON
    return event(serial, "arriving", WAREHOUSE_GLN, eventTime=f"2026-03-01T{hour:02d}:00:00Z", **more)


def test_a_partner_captures_and_finds_only_its_own(interface: Interface) -> None:
    job = send(interface.client, event("A1", "commissioning"))
    assert job["success"] is True
    assert job["running"] is False
    (found,) = _events(interface.client.get("/events"))
    assert found["epcList"] == [item("A1")]
    assert found["eventID"].startswith("ni:///sha-256;")
    assert _events(interface.rival.get("/events")) == []
    location = f"/events/{quote(found['eventID'], safe='')}"
    assert interface.client.get(location).json()["bizStep"] == "commissioning"
    assert interface.rival.get(location).status_code == 404
    assert interface.rival.get(f"/capture/{job['captureID']}").status_code == 404
    bare = asking.get(f"{interface.client.base_url}events")
    assert (bare.status_code, bare.json()["type"]) == (401, "epcisException:SecurityException")


def test_what_is_answered_is_valid_epcis(interface: Interface) -> None:
    send(interface.client, event("A1", "commissioning", **{"ex:colour": "red"}))
    answer = interface.client.get("/events").json()
    assert check(answer, strict=True).problems == []
    assert EXTENSIONS in answer["@context"]


def test_limits_are_told_and_held(interface: Interface) -> None:
    told = interface.client.options("/capture")
    assert told.status_code == 204
    limit = int(told.headers["GS1-EPCIS-Capture-Limit"])
    too_many = interface.client.post("/capture", json=document(*[_sighting("A1", 1)] * (limit + 1)))
    too_large = interface.client.post(
        "/capture", content=b" " * (int(told.headers["GS1-EPCIS-Capture-File-Size-Limit"]) + 1)
    )
    for answer in (too_many, too_large):
        assert (answer.status_code, answer.json()["type"]) == (413, "epcisException:CaptureLimitExceededException")
    assert interface.client.post("/capture", content=b"x", headers={"Content-Type": "text/csv"}).status_code == 415
    broken = interface.client.post("/capture", json={**document(), "@context": "https://evil.example/"})
    assert (broken.status_code, broken.json()["type"]) == (400, "epcisException:ValidationException")
    assert {"CONTEXT_UNKNOWN"} <= {error["code"] for error in broken.json()["errors"]}


def test_single_events_are_created_once(interface: Interface) -> None:
    single = {"@context": document()["@context"], **event("A1", "commissioning")}
    created = interface.client.post("/events", json=single)
    assert created.status_code == 201
    assert interface.client.get(created.headers["Location"].removeprefix("/epcis")).json()["epcList"] == [item("A1")]
    again = interface.client.post("/events", json=single)
    assert (again.status_code, again.json()["type"]) == (409, "epcisException:ResourceAlreadyExistsException")
    wrong = interface.client.post("/events", json={**single, "bizStep": "teleporting"})
    assert wrong.json()["errors"][0]["pointer"] == "/bizStep"


def test_a_moment_that_does_not_exist_is_no_moment_and_hides_no_other_event(interface: Interface) -> None:
    impossible = [
        "2026-99-99T00:00:00Z", "2026-02-29T00:00:00Z", "2100-02-29T00:00:00Z", "2026-04-31T00:00:00Z",
        "0000-01-01T00:00:00Z", "2026-01-01T24:30:00Z", "2026-01-01T00:60:00Z", "2026-01-01T00:00:61Z",
        "2026-01-01T00:00:00+99:00", "2026-01-01T00:00:00+15:60", f"2026-01-01T00:00:00.{'0' * 200}Z",
        "٢٠٢٦-01-01T00:00:00Z", "2026-00-10T00:00:00Z", "2026-01-00T00:00:00Z", "9999-99-99T99:99:99Z",
    ]  # fmt: skip
    possible = ["2024-02-29T23:59:59.5Z", "2000-02-29T00:00+08:00", "9999-12-31T23:59:59-1459", "0001-01-01T00:00:00Z"]
    moments = impossible + possible
    send(interface.client, *(_sighting(f"M{number}", 1, **{"ex:at": each}) for number, each in enumerate(moments)))
    answer = interface.client.get("/events", params={"GE_ex:at": "0001-01-01T00:00:00Z", "perPage": 50})
    assert answer.status_code == 200, answer.text
    wanted = {f"M{number}" for number in range(len(impossible), len(moments))}
    assert set(_serials(answer)) == wanted
    assert _serials(interface.client.get("/events?LT_ex:at=2000-01-01T00:00:00Z")) == [f"M{len(moments) - 1}"]


def test_pages_follow_one_another_without_gap_or_repetition(interface: Interface) -> None:
    send(interface.client, *(_sighting(f"S{hour}", hour) for hour in range(7)))
    seen, address = [], "/events?perPage=3&orderBy=eventTime&orderDirection=ASC"
    while address:
        answer = interface.client.get(address)
        seen += _serials(answer)
        link = answer.headers.get("Link", "")
        address = link.partition("<")[2].partition(">")[0].removeprefix("/epcis")
        assert not address or "GS1-Next-Page-Token-Expires" in answer.headers
    assert seen == [f"S{hour}" for hour in range(7)]
    first = interface.client.get("/events?perPage=3")
    token = first.headers["Link"].partition("nextPageToken=")[2].partition(">")[0]
    assert interface.client.get(f"/events?perPage=3&EQ_action=ADD&nextPageToken={token}").status_code == 404
    assert interface.rival.delete(f"/nextPageToken/{token}").status_code == 404
    assert interface.client.delete(f"/nextPageToken/{token}").status_code == 204
    assert interface.client.get(f"/events?perPage=3&nextPageToken={token}").status_code == 404
    assert _serials(interface.client.get("/events?eventCountLimit=2&orderBy=eventTime")) == ["S6", "S5"]
    too_many = interface.client.get("/events?maxEventCount=3")
    assert (too_many.status_code, too_many.json()["type"]) == (413, "epcisException:QueryTooLargeException")


def _varied() -> list[dict[str, Any]]:
    report = {"type": "Temperature", "value": 4.5, "uom": "CEL", "stringValue": "cold"}
    lot = f"https://id.gs1.org/01/{GTIN}/10/L1"
    declaration = {"declarationTime": "2026-03-05T00:00:00Z", "reason": "incorrect_data"}
    metadata = {"time": "2026-03-01T05:00:00+01:00", "deviceID": "urn:epc:id:giai:4000001.111"}
    return [
        _sighting("A1", 1, disposition="in_progress"),
        _sighting("A2", 2, readPoint={"id": f"https://id.gs1.org/414/{FACTORY_GLN}/254/gate-1"}),
        _sighting("A3", 3, sensorElementList=[{"sensorMetadata": metadata, "sensorReport": [report]}]),
        _sighting("A4", 4, **{"ex:shift": 7, "ex:crew": {"ex:lead": "li"}}),
        _sighting("A5", 5, bizTransactionList=[{"type": "po", "bizTransaction": "urn:x:po:1"}]),
        _sighting("A6", 6, quantityList=[{"epcClass": lot, "quantity": 20, "uom": "KGM"}]),
        _sighting("A7", 7, persistentDisposition={"set": ["completeness_verified"]}),
        _sighting("A8", 8, errorDeclaration=declaration),
        event("A9", "commissioning", eventTime="2026-03-01T09:00:00Z", ilmd={"ex:lot": "L9"}),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"EQ_bizStep": "commissioning|shipping"}, ["A9"]),
        ({"EQ_bizStep": "https://ref.gs1.org/cbv/BizStep-commissioning"}, ["A9"]),
        ({"EQ_action": "ADD"}, ["A9"]),
        ({"EQ_disposition": "in_progress"}, ["A1"]),
        ({"eventType": "AggregationEvent"}, []),
        ({"GE_eventTime": "2026-03-01T08:00:00+00:00", "LT_eventTime": "2026-03-01T09:00:00Z"}, ["A8"]),
        ({"LT_recordTime": "2020-01-01T00:00:00Z"}, []),
        ({"EQ_readPoint": f"urn:epc:id:sgln:{FACTORY_GLN[:7]}.{FACTORY_GLN[7:12]}.0"}, ["A9"]),
        ({"WD_readPoint": f"https://id.gs1.org/414/{FACTORY_GLN}", "EQ_action": "OBSERVE"}, ["A2"]),
        ({"MATCH_epc": f"urn:epc:id:sgtin:{GTIN[1:8]}.{GTIN[0]}{GTIN[8:13]}.A5"}, ["A5"]),
        ({"MATCH_anyEPC": item("A5"), "EQ_action": "ADD"}, []),
        ({"MATCH_epc": f"urn:epc:idpat:sgtin:{GTIN[1:8]}.{GTIN[0]}{GTIN[8:13]}.*", "EQ_action": "ADD"}, ["A9"]),
        ({"MATCH_epcClass": f"https://id.gs1.org/01/{GTIN}/10/L1"}, ["A6"]),
        ({"EQ_bizTransaction_po": "urn:x:po:1"}, ["A5"]),
        ({"EQ_bizTransaction_inv": "urn:x:po:1"}, []),
        ({"GE_quantity": "20"}, ["A6"]),
        ({"GT_quantity_KGM": "20"}, []),
        ({"EQ_quantity_KGM": "19|20"}, ["A6"]),
        ({"EQ_persistentDisposition_set": "completeness_verified"}, ["A7"]),
        ({"EXISTS_errorDeclaration": "true"}, ["A8"]),
        ({"EQ_errorReason": "incorrect_data", "GE_errorDeclarationTime": "2026-03-05T00:00:00Z"}, ["A8"]),
        ({"EXISTS_sensorElementList": "true"}, ["A3"]),
        ({"EQ_type": "Temperature", "GE_value_CEL": "4.5", "LT_value_CEL": "5"}, ["A3"]),
        ({"LT_value_CEL": "4.5"}, []),
        ({"EQ_deviceID": "urn:epc:id:giai:4000001.111", "EQ_stringValue": "cold"}, ["A3"]),
        ({"GE_time": "2026-03-01T04:00:00Z", "LT_time": "2026-03-01T04:00:01Z"}, ["A3"]),
        ({"EQ_ex:shift": "7"}, ["A4"]),
        ({"GT_ex:shift": "7"}, []),
        ({"EXISTS_ex:crew": "true"}, ["A4"]),
        ({"EQ_INNER_ex:lead": "li"}, ["A4"]),
        ({"EQ_ex:lead": "li"}, []),
        ({"EQ_ILMD_ex:lot": "L9"}, ["A9"]),
        ({"EXISTS_ILMD_ex:lot": "true"}, ["A9"]),
    ],
)  # fmt: skip
def test_every_kind_of_parameter_finds_what_it_asks_for(
    shared: Interface, query: dict[str, str], found: list[str]
) -> None:
    assert _serials(shared.client.get("/events", params={**query, "orderDirection": "ASC"})) == found


@pytest.mark.parametrize(
    "query",
    [
        "EQ_colour=red", "GE_eventTime=yesterday", "GE_eventTime=2026-03-01T00:00:00", "orderBy=bizStep",
        "orderDirection=up", "eventCountLimit=5", "eventCountLimit=5&maxEventCount=5&orderBy=eventTime",
        "maxEventCount=0", "perPage=x", "GE_quantity=many", "EQ_action=ADD&EQ_action=OBSERVE", "HASATTR_bizLocation=x",
        "EQ_ex:a'b=1", "EQ_';DROP TABLE trace.epcis_event;--:x=1",
    ],
)  # fmt: skip
def test_unknown_and_malformed_parameters_are_errors(shared: Interface, query: str) -> None:
    answer = shared.client.get(f"/events?{query}")
    assert (answer.status_code, answer.json()["type"]) == (400, "epcisException:QueryParameterException")
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("collection", "member"),
    [
        ("bizSteps", "commissioning"),
        ("eventTypes", "ObjectEvent"),
        ("dispositions", "in_progress"),
        ("readPoints", f"https://id.gs1.org/414/{FACTORY_GLN}"),
        ("epcs", item("A5")),
    ],
)
def test_collections_lead_to_their_events(shared: Interface, collection: str, member: str) -> None:
    assert member in shared.client.get(f"/{collection}").json()["member"]
    assert _events(shared.client.get(f"/{collection}/{quote(member, safe='')}/events"))


def test_identifiers_come_in_the_form_that_is_asked_for(shared: Interface) -> None:
    answer = shared.client.get("/events?EQ_bizTransaction_po=urn:x:po:1", headers={"GS1-EPC-Format": "Always_EPC_URN"})
    assert _events(answer)[0]["epcList"] == [f"urn:epc:id:sgtin:{GTIN[1:8]}.{GTIN[0]}{GTIN[8:13]}.A5"]
    refused = shared.client.get("/events", headers={"GS1-EPC-Format": "Sometimes"})
    assert (refused.status_code, refused.json()["type"]) == (406, "epcisException:NotAcceptableException")
    assert shared.client.get("/events", headers={"GS1-EPCIS-Version": "3.0.0"}).status_code == 406
    assert answer.headers["GS1-EPCIS-Version"] == "2.0.0"


def test_xml_is_captured_too(interface: Interface) -> None:
    xml = f"""<?xml version="1.0"?><e:EPCISDocument xmlns:e="urn:epcglobal:epcis:xsd:1" schemaVersion="1.2"
        creationDate="2026-03-01T12:00:00Z"><EPCISBody><EventList><ObjectEvent>
        <eventTime>2026-03-01T10:00:00Z</eventTime><eventTimeZoneOffset>+08:00</eventTimeZoneOffset>
        <epcList><epc>urn:epc:id:sgtin:{GTIN[1:8]}.{GTIN[0]}{GTIN[8:13]}.X1</epc></epcList><action>ADD</action>
        <bizStep>urn:epcglobal:cbv:bizstep:commissioning</bizStep>
        <readPoint><id>urn:epc:id:sgln:{FACTORY_GLN[:7]}.{FACTORY_GLN[7:12]}.0</id></readPoint>
        </ObjectEvent></EventList></EPCISBody></e:EPCISDocument>"""
    answer = interface.client.post("/capture", content=xml, headers={"Content-Type": "application/xml"})
    assert answer.status_code == 202, answer.text
    (found,) = _events(interface.client.get("/events", headers={"GS1-EPC-Format": "Always_GS1_Digital_Link"}))
    assert (found["epcList"], found["bizStep"]) == ([item("X1")], "commissioning")


def test_what_custody_refused_appears_once_it_is_made_right(interface: Interface) -> None:
    party = {"type": "possessing_party", "destination": "urn:codefence:dealer:D-EAST"}
    shipped = event("Q1", "shipping", eventTime="2026-03-01T11:00:00Z", destinationList=[party])
    job = send(interface.client, shipped, **{"GS1-Capture-Error-Behaviour": "proceed"})
    assert [error["code"] for error in job["errors"]] == ["NOT_COMMISSIONED"]
    assert _events(interface.client.get("/events")) == []
    assert send(interface.client, event("Q1", "commissioning"))["success"] is True
    assert [each["bizStep"] for each in _events(interface.client.get("/events"))] == ["shipping", "commissioning"]
    # A shipment that turns out to have happened before takes its place, and an observation beside it stays.
    earlier = {**shipped, "eventTime": "2026-03-01T10:30:00Z", "bizTransactionList": [{"bizTransaction": "urn:x:1"}]}
    assert send(interface.client, _sighting("Q1", 1), earlier)["success"] is True
    times = [each["eventTime"] for each in _events(interface.client.get("/events?EQ_bizStep=shipping|arriving"))]
    assert times == ["2026-03-01T10:30:00Z", "2026-03-01T01:00:00Z"]


def test_a_fault_of_ours_is_answered_and_tells_nothing(interface: Interface, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ValueError("a secret detail")

    monkeypatch.setattr("trace_service.epcis.http.events.project", broken)
    for _ in range(2):
        answer = interface.client.get("/events")
        assert (answer.status_code, answer.json()["type"]) == (500, "epcisException:ImplementationException")
        assert "secret" not in answer.text


def test_clients_may_ask_what_there_is(interface: Interface) -> None:
    answer = interface.client.options("/events")
    assert (answer.status_code, answer.headers["GS1-EPCIS-Max"]) == (204, "2.0.0")
    assert "GET" in answer.headers["Allow"]


def test_named_queries_are_kept_run_and_dropped(interface: Interface) -> None:
    send(interface.client, _sighting("A1", 1), event("A2", "commissioning"))
    query = {"name": "made", "query": {"EQ_bizStep": ["commissioning"]}}
    assert interface.client.post("/queries", json=query).status_code == 201
    assert interface.client.post("/queries", json=query).status_code == 409
    assert _serials(interface.client.get("/queries/made/events")) == ["A2"]
    assert interface.rival.get("/queries/made").status_code == 404
    for name in ("made\n", "a b", ""):
        assert interface.client.post("/queries", json=query | {"name": name}).status_code == 400
    wrong = interface.client.post("/queries", json={"name": "bad", "query": {"EQ_colour": "red"}})
    assert wrong.json()["type"] == "epcisException:QueryParameterException"
    assert interface.client.delete("/queries/made").status_code == 204
    assert interface.client.get("/queries").json() == []


_LONG = "urn:x:" + "u" * 1990
_HOSTILE: list[dict[str, Any]] = [
    event("A1", "arriving", eventTime="0001-01-01T00:00:00+14:00"),
    event("A1", "arriving", eventTime="2026-03-01T23:59:60Z"),
    event("A1", "arriving", eventTime="2226-03-01T00:00:00Z"),
    event("A1", "arriving", **{"ex:a": [[[[{"ex:b": [None, True, 1e300, -0.0, "\u202e", "' OR 1=1 --"]}]]]]}),
    event("A1", "arriving", **{"ex:a": "x" * 1_000_000}),
    event("A1", "arriving", eventID="urn:x:" + "y" * 1900),
    event("A1", "arriving", bizTransactionList=[{"type": "urn:x:" + "t" * 480, "bizTransaction": _LONG}]),
    event("A1", "arriving", bizStep="https://example.com/" + "s" * 470),
    event([f"https://id.gs1.org/01/{GTIN}/21/%2F%22%27{number}" for number in range(300)], "arriving"),
    {"type": "ObjectEvent"},
    {"type": 7},
    {},
]  # fmt: skip


@pytest.fixture(scope="module")
def battered(postgres: Database, migrated_template: str) -> Iterator[Interface]:
    """One interface that takes whatever is thrown at it."""
    with fresh_database(postgres, migrated_template) as database, serving(database) as made:
        yield made


@pytest.mark.parametrize("number", range(len(_HOSTILE)))
def test_whatever_is_captured_is_answered_and_can_be_read_again(battered: Interface, number: int) -> None:
    send(battered.client, _HOSTILE[number], **{"GS1-Capture-Error-Behaviour": "proceed"})
    assert battered.client.get("/events?perPage=1000").status_code == 200
    assert battered.client.get("/bizSteps").status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[1]",
        b'{"type": "EPCISDocument"}',
        b'{"a": "\\u0000"}',
        b"<x/>",
        b'{"type": "EPCISDocument", "epcisBody": 7}',
    ],
)
def test_what_is_no_document_is_a_problem_report(battered: Interface, body: bytes) -> None:
    for address in ("/capture", "/events", "/queries"):
        answer = battered.client.post(address, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400, (address, answer.text)
        assert answer.json()["type"].startswith("epcisException:")


@pytest.mark.parametrize(
    ("method", "address", "status"),
    [
        ("GET", "/events/%00", 400),
        ("GET", "/bizSteps?after=%00", 400),
        ("GET", "/nothing", 404),
        ("GET", "/capture/7", 404),
        ("PUT", "/events", 405),
    ],
)
def test_addresses_that_lead_nowhere_say_so(battered: Interface, method: str, address: str, status: int) -> None:
    answer = battered.client.request(method, address)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
