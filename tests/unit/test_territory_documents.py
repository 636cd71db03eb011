"""Drafts from whatever people send: every feature is a proposal or a remark, and nothing else ever comes of it."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofence.proposed.remarks import RemarkCode
from trace_service.territories.documents import LARGEST_DRAFT, Stated, read_draft
from trace_service.territories.errors import DraftError

START = datetime(2026, 2, 28, 16, tzinfo=UTC)  # midnight in China
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
positions = st.lists(st.floats(-200, 200) | st.integers() | st.none() | st.text(max_size=3), max_size=4)
geometries = st.fixed_dictionaries(
    {"type": st.sampled_from(["Polygon", "MultiPolygon", "Point", "GeometryCollection", ""])},
    optional={"coordinates": st.lists(st.lists(positions | st.lists(positions, max_size=5), max_size=5), max_size=3)},
)
properties = st.fixed_dictionaries(
    {
        "dealer": st.just("D-1") | anything,
        "valid_from": st.sampled_from(["2026-03-01", "2026-03-01T00:00:00Z"]) | anything,
    },
    optional=dict.fromkeys(("adcodes", "valid_to", "exclusive", "channel", "product_line"), anything),
)
features = st.fixed_dictionaries(
    {"type": st.just("Feature"), "properties": properties | anything, "geometry": geometries | anything},
    optional={"id": anything},
)


def collection(*given: object) -> bytes:
    return json.dumps({"type": "FeatureCollection", "features": given}).encode()


def feature(**stated: object) -> dict[str, Any]:
    return {"type": "Feature", "geometry": None, "properties": {"dealer": "D-1", "valid_from": "2026-03-01", **stated}}


@given(st.lists(features | anything, min_size=1, max_size=4))
def test_every_feature_is_a_proposal_or_a_remark(given_features: list[Any]) -> None:
    stated, remarks = read_draft(collection(*given_features))
    assert len(stated) + len(remarks) == len(given_features)
    assert {each.code for each in remarks} <= {RemarkCode.UNREADABLE}
    for each in stated:
        version = each.proposal(START).version
        assert version.polygon is None or version.polygon.is_valid


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_bytes_are_a_draft_or_refused_with_advice(content: bytes) -> None:
    try:
        stated, remarks = read_draft(content)
    except DraftError as error:
        stated, remarks, refusal = [], [], error.advice
    else:
        refusal = ""
    assert stated or remarks or refusal


def test_a_table_says_the_same_as_features_in_either_language() -> None:
    table = "经销商编号,授权区域,生效日期,失效日期,独家,产品线\nD-1,510100;510700,2026-03-01,2027/1/1,否,gold\n"
    english = (
        "dealer,adcodes,valid_from,valid_to,exclusive,product_line\nD-1,510100 510700,2026-03-01,2027-01-01,no,gold\n"
    )
    as_feature = feature(adcodes=["510100", "510700"], valid_to="2027-01-01", exclusive=False, product_line="gold")
    versions = [
        stated.proposal(START).version.sha256
        for content in (table.encode("utf-8-sig"), english.encode(), collection(as_feature))
        for stated in read_draft(content)[0]
    ]
    assert len(versions) == 3
    assert len(set(versions)) == 1


def test_a_day_begins_at_midnight_in_china_and_a_polygon_comes_as_text_too() -> None:
    ((stated,), _) = read_draft(b'dealer,valid_from,wkt\nD-1,2026-03-01,"POLYGON ((0 0, 1 0, 1 1, 0 0))"\n')
    assert isinstance(stated, Stated)
    assert stated.valid_from == START
    polygon = stated.proposal(START).version.polygon
    assert polygon is not None
    assert polygon.area == 0.5


BAD = {
    "no dealer": ({"dealer": "D 1"}, "names no dealer"),
    "no start": ({"valid_from": ""}, "has no valid_from"),
    "no day": ({"valid_from": "spring"}, "unusable valid_from: 'spring'"),
    "no zone": ({"valid_from": "2026-03-01T08:00:00"}, "unusable valid_from"),
    "ends first": ({"valid_to": "2026-02-01"}, "not after its start"),
    "exclusive": ({"exclusive": "perhaps"}, "unusable exclusive"),
    "code": ({"adcodes": "51;--;'"}, 'has the division "\'"'),
    "line": ({"product_line": "x" * 101}, "unusable product_line"),
}


@pytest.mark.parametrize(("stated", "reason"), BAD.values(), ids=BAD)
def test_what_is_wrong_with_a_feature_is_said(stated: dict[str, object], reason: str) -> None:
    found, (remark,) = read_draft(collection(feature(), feature(**stated)))
    assert len(found) == 1
    assert remark.where == "feature 1"
    assert reason in remark.words


def test_sizes_are_limited_before_anything_is_parsed() -> None:
    with pytest.raises(DraftError, match="bytes"):
        read_draft(b"{" + b" " * LARGEST_DRAFT)
    with pytest.raises(DraftError, match="5,001 proposals"):
        read_draft(collection(*[feature()] * 5_001))
