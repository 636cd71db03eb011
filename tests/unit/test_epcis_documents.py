"""Documents of EPCIS 2.0: what is accepted, what is refused and why, and the hashes."""

import json
import random
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import example, given
from hypothesis import strategies as st

from benchmarks.frame import DataMissingError, data_folder
from contracts import gs1
from trace_service.epcis.cli import epcis
from trace_service.epcis.standard import identifiers, links
from trace_service.epcis.standard.hashing import event_hash, prehash
from trace_service.epcis.validation import check, check_bytes

CONTEXT = "https://ref.gs1.org/standards/epcis/epcis-context.jsonld"


def _samples(folder: str, pattern: str) -> list[Path]:
    try:
        return sorted((data_folder("epcis") / folder).glob(pattern))
    except DataMissingError:
        return []


def _event(**more: object) -> dict[str, Any]:
    return {
        "type": "ObjectEvent",
        "eventTime": "2026-03-01T10:00:00Z",
        "eventTimeZoneOffset": "+08:00",
        "action": "OBSERVE",
        "epcList": ["https://id.gs1.org/01/09506000134352/21/A1"],
        **more,
    }


def _document(*events: dict[str, Any], context: object = CONTEXT) -> dict[str, Any]:
    return {
        "@context": context,
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": "2026-03-01T10:00:00Z",
        "epcisBody": {"eventList": list(events)},
    }


def _codes(document: dict[str, Any], *, strict: bool = False) -> list[tuple[str, str]]:
    return [(problem.pointer, problem.code) for problem in check(document, strict=strict).problems]


@pytest.mark.data
@pytest.mark.parametrize("folder", ["valid", "invalid"])
def test_the_samples_are_judged_as_their_makers_judge_them(folder: str) -> None:
    files = _samples(folder, "*.json")
    if not files:
        pytest.skip("no EPCIS samples beside the checkout")
    answer = CliRunner().invoke(epcis, ["validate", *map(str, files)])
    lines = [json.loads(line) for line in answer.stdout.splitlines()]
    assert [line["file"] for line in lines] == list(map(str, files))
    assert {line["valid"] for line in lines} == {folder == "valid"}
    assert answer.exit_code == (0 if folder == "valid" else 1)
    assert all(line["valid"] or line["errors"][0]["message"] for line in lines)


@pytest.mark.data
def test_the_sample_hashes_and_their_texts_are_reproduced() -> None:
    files = _samples("hash", "*.jsonld")
    if not files:
        pytest.skip("no EPCIS samples beside the checkout")
    for file in files:
        for option, suffix in (([], ".hashes"), (["--prehash"], ".prehashes")):
            answer = CliRunner().invoke(epcis, ["hash", str(file), *option])
            assert answer.stdout.split("\n")[:-1] == file.with_suffix(suffix).read_text("utf-8").splitlines()


@pytest.mark.parametrize(
    ("event", "pointer", "code"),
    [
        (_event(bizStep="teleporting"), "/bizStep", "NOT_IN_VOCABULARY"),
        (_event(bizStep="urn:epcglobal:cbv:bizstep:shipping"), "/bizStep", "VOCABULARY_FORM"),
        (_event(bizStep="https://ref.gs1.org/cbv/BizStep-teleporting"), "/bizStep", "NOT_IN_VOCABULARY"),
        (_event(bizStep="mine:moving"), "/bizStep", "NAMESPACE_UNDEFINED"),
        (_event(disposition="lost"), "/disposition", "NOT_IN_VOCABULARY"),
        (_event(eventTime="2026-03-01T10:00:00"), "/eventTime", "FORMAT"),
        (_event(eventTime="2026-02-30T10:00:00Z"), "/eventTime", "FORMAT"),
        (_event(eventTimeZoneOffset="+15:00"), "/eventTimeZoneOffset", "FORMAT"),
        (_event(epcList=["not a uri"]), "/epcList/0", "FORMAT"),
        (_event(epcList=["urn:epc:id:sgtin:12345.1.2"]), "/epcList/0", "EPC_INVALID"),
        (_event(certificationInfo=7), "/certificationInfo", "WRONG_TYPE"),
        (_event(certificationInfo="no uri"), "/certificationInfo", "FORMAT"),
        (_event(parentID="urn:epc:id:sscc:0614141.1234567890"), "/parentID", "UNKNOWN_FIELD"),
        (_event(colour="red"), "/colour", "UNKNOWN_FIELD"),
        (_event(**{"mine:colour": "red"}), "/mine:colour", "NAMESPACE_UNDEFINED"),
        (_event(action="ADD", ilmd={"lot": "1"}), "/ilmd/lot", "UNKNOWN_FIELD"),
        (_event(ilmd={}), "/ilmd", "NOT_ALLOWED"),
        (_event(readPoint={"id": "urn:x:y", "name": "gate"}), "/readPoint/name", "UNKNOWN_FIELD"),
        (
            _event(quantityList=[{"epcClass": "urn:epc:idpat:sgtin:4012345.066666.*", "count": 2}]),
            "/quantityList/0",
            "UNKNOWN_FIELD",
        ),
        (_event(errorDeclaration={"reason": "incorrect_data"}), "/errorDeclaration", "MISSING_FIELD"),
        (
            _event(sensorElementList=[{"sensorReport": [{"value": 3}]}]),
            "/sensorElementList/0/sensorReport/0",
            "MISSING_FIELD",
        ),
        (
            _event(sensorElementList=[{"sensorReport": [{"type": "Warmth"}]}]),
            "/sensorElementList/0/sensorReport/0/type",
            "NOT_IN_VOCABULARY",
        ),
        (_event(type="ScanEvent"), "/type", "NOT_ALLOWED"),
        (_event(type="AssociationEvent"), "", "MISSING_FIELD"),
        (_event(type="TransactionEvent", bizTransactionList=[]), "", "MISSING_FIELD"),
        (_event(type="AggregationEvent", parentID="urn:x:1", childEPCs=[]), "", "MISSING_FIELD"),
        (_event(**{"@context": "https://evil.example/context.jsonld"}), "/@context", "CONTEXT_UNKNOWN"),
    ],
)
def test_each_fault_is_named_with_its_place(event: dict[str, Any], pointer: str, code: str) -> None:
    found = _codes(_document(_event(), event))
    assert (f"/epcisBody/eventList/1{pointer}", code) in found
    assert not [each for each in found if each[0].startswith("/epcisBody/eventList/0")]


def test_contexts_that_point_outside_are_refused_and_never_fetched() -> None:
    document = _document(_event(), context=[CONTEXT, "http://169.254.169.254/latest/meta-data", "file:///etc/passwd"])
    assert _codes(document) == [("/@context", "CONTEXT_UNKNOWN")] * 2
    assert _codes(_document(_event(), context={"x": "urn:x:"})) == [("/@context", "CONTEXT_MISSING")]


def test_check_digits_count_only_for_those_who_act_on_them() -> None:
    document = _document(_event(epcList=["https://id.gs1.org/01/09506000134353/21/A1"]))
    assert _codes(document) == []
    assert _codes(document, strict=True) == [("/epcisBody/eventList/0/epcList/0", "CHECK_DIGIT")]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"<a/>",
        b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>',
        b"<EPCISDocument>",
        b" " * (10 * 1024 * 1024 + 1),
    ],
)
def test_what_is_no_document_is_one_problem(data: bytes) -> None:
    (problem,) = check_bytes(data).problems
    assert problem.code == "DOCUMENT_UNREADABLE"


def test_xml_and_json_of_one_event_have_one_hash(tmp_path: Path) -> None:
    file = tmp_path / "event.xml"
    file.write_text(
        """<e:EPCISDocument xmlns:e="urn:epcglobal:epcis:xsd:2" xmlns:x="https://ns.example.com/epcis/"
             schemaVersion="2.0" creationDate="2026-03-01T10:00:00Z"><EPCISBody><EventList><ObjectEvent>
             <eventTime>2026-03-01T18:00:00.000+08:00</eventTime><eventTimeZoneOffset>+08:00</eventTimeZoneOffset>
             <epcList><epc>urn:epc:id:sgtin:9506000.013435.A1</epc></epcList><action>OBSERVE</action>
             <bizStep>urn:epcglobal:cbv:bizstep:shipping</bizStep>
             <bizTransactionList><bizTransaction type="urn:epcglobal:cbv:btt:po">urn:x:1</bizTransaction>
             </bizTransactionList><x:note>7.50</x:note></ObjectEvent></EventList></EPCISBody></e:EPCISDocument>""",
        "utf-8",
    )
    answer = CliRunner().invoke(epcis, ["hash", str(file)])
    prefixes = {"x": "https://ns.example.com/epcis/"}
    transaction = {"type": "po", "bizTransaction": "urn:x:1"}
    event = _event(bizStep="shipping", bizTransactionList=[transaction], **{"x:note": "7.5"})
    assert answer.stdout.strip() == event_hash(event, prefixes)
    assert CliRunner().invoke(epcis, ["validate", str(file)]).exit_code == 0


_WORDS = st.text("abcXYZ019", min_size=1, max_size=6)
_VALUES = st.recursive(
    st.one_of(_WORDS, st.integers(-999, 999), st.booleans(), st.decimals(-9, 9, places=2).map(float)),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3), st.dictionaries(_WORDS.map("x:{}".format), inner, min_size=1)
    ),
    max_leaves=6,
)


@st.composite
def _events(draw: st.DrawFn) -> dict[str, Any]:
    serials = draw(st.lists(_WORDS, min_size=1, max_size=4))
    event = _event(epcList=[f"https://id.gs1.org/01/09506000134352/21/{serial}" for serial in serials])
    event["bizTransactionList"] = [{"type": "po", "bizTransaction": f"urn:x:{word}"} for word in draw(st.lists(_WORDS))]
    event["sensorElementList"] = [
        {"sensorReport": [{"type": "Temperature", "value": value, "uom": "CEL"} for value in values]}
        for values in draw(st.lists(st.lists(st.integers(-9, 9), min_size=1, max_size=3), max_size=2))
    ]
    return event | draw(st.dictionaries(_WORDS.map("x:{}".format), _VALUES, max_size=3))


def _shuffled(value: Any, order: random.Random) -> Any:  # noqa: ANN401  JSON of any shape
    """The same JSON with members and elements in another order."""
    if isinstance(value, dict):
        pairs = [(key, _shuffled(each, order)) for key, each in value.items()]
        order.shuffle(pairs)
        return dict(pairs)
    if isinstance(value, list):
        elements = [_shuffled(each, order) for each in value]
        order.shuffle(elements)
        return elements
    return value


@given(_events(), st.randoms(use_true_random=False))
def test_a_hash_depends_on_no_order(event: dict[str, Any], order: random.Random) -> None:
    prefixes = {"x": "urn:x:"}
    assert prehash(_shuffled(event, order), prefixes) == prehash(event, prefixes)


@given(st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)), st.integers(-13 * 60, 14 * 60))  # noqa: DTZ001  made aware below
def test_a_hash_depends_on_no_time_zone_of_the_writing(moment: datetime, minutes: int) -> None:
    moment = moment.replace(tzinfo=UTC, microsecond=moment.microsecond // 1000 * 1000)
    elsewhere = moment.astimezone(timezone(timedelta(minutes=minutes)))
    assert event_hash(_event(eventTime=moment.isoformat())) == event_hash(_event(eventTime=elsewhere.isoformat()))


@given(_events(), _WORDS)
def test_a_hash_ignores_what_belongs_to_the_record_and_nothing_else(event: dict[str, Any], word: str) -> None:
    prefixes = {"x": "urn:x:"}
    declared = {"declarationTime": "2026-04-01T10:00:00Z", "reason": "did_not_occur"}
    record = {"recordTime": "2026-04-01T10:00:00Z", "eventID": f"urn:x:{word}", "errorDeclaration": declared}
    assert event_hash(event | record, prefixes) == event_hash(event, prefixes)
    assert event_hash(event | {"x:more-than-before": word}, prefixes) != event_hash(event, prefixes)


@given(st.integers(0, 10**12 - 1), st.text("!\"%&'()*+,-./0123456789:;<=>?ABCXYZ_abcxyz", min_size=1, max_size=20))
@example(0, "*")
def test_one_item_has_one_key_however_it_is_written(number: int, serial: str) -> None:
    digits = f"0{number:012d}"
    gtin = f"{digits}{gs1.check_digit(digits)}"
    elements = [("01", gtin), ("21", serial)]
    link, urn = gs1.uri(elements), gs1.urn(elements, 7)
    assert link is not None
    expected = gs1.item_key(gtin, serial)
    assert [identifiers.key(each) for each in (link, urn, link.replace("id.gs1.org", "shop.example/a"))] == [
        expected
    ] * 3
    assert identifiers.fault(urn) is None
    assert links.canonical(links.canonical(urn) or "") == links.canonical(urn)


@pytest.mark.parametrize(
    ("written", "hashed"),
    [
        ("urn:epc:id:sgtin:4012345.011111.S", "https://id.gs1.org/01/04012345111118/21/S"),
        ("urn:epc:id:sscc:4012345.3111111111", "https://id.gs1.org/00/340123451111111111"),
        ("urn:epc:id:sgln:4012345.00005.122", "https://id.gs1.org/414/4012345000054/254/122"),
        ("urn:epc:class:lgtin:4012345.011111.Lot", "https://id.gs1.org/01/04012345111118/10/Lot"),
        ("urn:epc:id:grai:4012345.55555.987", "https://id.gs1.org/8003/04012345555554987"),
        ("urn:epc:id:upui:4012345.011111.a", "https://id.gs1.org/01/04012345111118/235/a"),
        ("urn:epc:id:cpi:4012345.AB.7", "https://id.gs1.org/8010/4012345AB/8011/7"),
        ("urn:epc:id:itip:4012345.011111.01.02.S", "https://id.gs1.org/8006/040123451111180102/21/S"),
        ("urn:epc:idpat:sgtin:4012345.011111.*", "https://id.gs1.org/01/04012345111118"),
        ("urn:epc:id:sgtin:4012345.011111.*", "https://id.gs1.org/01/04012345111118/21/%2A"),
        ("HTTPS://SHOP.EXAMPLE/01/04012345111118/10/L/21/S?17=261231", "https://id.gs1.org/01/04012345111118/21/S"),
        ("https://shop.example/some/gtin/4012345111118", "https://id.gs1.org/01/04012345111118"),
        ("https://shop.example/po/12345678", "https://shop.example/po/12345678"),
        ("urn:epc:id:imovn:9176187", "urn:epc:id:imovn:9176187"),
    ],
)  # fmt: skip
def test_identifiers_are_hashed_as_constrained_canonical_links(written: str, hashed: str) -> None:
    assert f"epcListepc={hashed}action=" in prehash(_event(epcList=[written]))


def test_named_queries_are_checked_like_documents() -> None:
    good = {
        "name": "q",
        "query": {"EQ_bizStep": ["shipping"], "GE_eventTime": "2026-03-01T00:00:00Z", "GE_quantity": 5},
    }
    assert check_bytes(json.dumps(good).encode()).problems == []
    bad = {"name": "q", "query": {"EQ_colour": ["red"]}}
    assert [tuple(each[:2]) for each in check_bytes(json.dumps(bad).encode()).problems] == [("/query", "INVALID_QUERY")]


def test_prefixes_hold_where_they_are_defined_and_below() -> None:
    own = {"@context": {"here": "urn:here:"}}
    inside = _event(**own, **{"here:a": {"@context": {"deep": "urn:deep:"}, "deep:b": "1"}})
    assert _codes(_document(inside)) == []
    outside = _event(**{"here:a": {"@context": {"deep": "urn:deep:"}, "deep:b": "1"}, "deep:c": "2"})
    where = "/epcisBody/eventList/0"
    assert _codes(_document(outside)) == [
        (f"{where}/here:a", "NAMESPACE_UNDEFINED"),
        (f"{where}/deep:c", "NAMESPACE_UNDEFINED"),
    ]
    body = _document(_event(**{"here:a": "1"}))
    body["epcisBody"] |= own
    assert _codes(body) == []
    assert "{urn:here:}a{urn:deep:}b=1" in prehash(inside)


def test_a_document_without_a_place_for_events_is_none() -> None:
    empty = _document()
    assert _codes(empty) == []
    empty["epcisBody"] = {}
    assert _codes(empty) == [("/epcisBody", "MISSING_FIELD")]
