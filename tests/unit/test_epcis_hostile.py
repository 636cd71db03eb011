"""EPCIS input that is meant to hurt: deep, long, out of range. Each is refused, or read, and never a fault."""

import pytest

from trace_service.epcis.http.requests import page_size
from trace_service.epcis.querying.parameters import read_search
from trace_service.epcis.refusals import QueryParameterError
from trace_service.epcis.standard.errors import DocumentError
from trace_service.epcis.standard.xml import read_xml

_NOTES = 'xmlns:x="https://ns.example.com/epcis/"'


def _document(inside: str) -> bytes:
    event = f"<ObjectEvent {_NOTES}>{inside}</ObjectEvent>"
    return f"<EPCISDocument><EPCISBody><EventList>{event}</EventList></EPCISBody></EPCISDocument>".encode()


def test_xml_that_is_nested_too_deeply_is_refused() -> None:
    with pytest.raises(DocumentError, match="nested too deeply"):
        read_xml(_document("<x:a>" * 5000 + "</x:a>" * 5000))


def test_xml_that_repeats_an_element_very_often_is_read_in_order() -> None:
    # With a copy of the list for each repetition this one test would take many minutes.
    count = 200_000
    (event,) = read_xml(_document("".join(f"<x:a>{number}</x:a>" for number in range(count))))["epcisBody"]["eventList"]
    assert event["x:a"] == [str(number) for number in range(count)]


@pytest.mark.parametrize("text", ["0", "1001", "9" * 5000, "-1", "x"])
def test_a_page_size_out_of_range_is_refused(text: str) -> None:
    with pytest.raises(QueryParameterError, match="perPage"):
        page_size(text)


@pytest.mark.parametrize("name", ["maxEventCount", "eventCountLimit"])
@pytest.mark.parametrize("text", ["0", "100001", "9" * 5000])
def test_a_count_out_of_range_is_refused(name: str, text: str) -> None:
    with pytest.raises(QueryParameterError, match=name):
        read_search({name: [text], "orderBy": ["eventTime"]}, {})
