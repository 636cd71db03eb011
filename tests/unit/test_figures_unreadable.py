"""Alerts whose stored material is damaged or made by a stranger: an error that says so, soon, and never a crash."""

import copy
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_service.cases.reproduce import FiguresError, OtherVersionError, reproduced
from trace_service.detection.calibration import Calibration
from trace_service.detection.explaining.recount import recount
from trace_service.detection.explaining.stored import explain_stored
from trace_service.detection.material import FORM, KeptCell, KeptHit, Material, Part, read_material
from trace_service.detection.settings import DAY_MS, Settings

AT: Final = 700 * DAY_MS
HOSTILE: Final[tuple[object, ...]] = (None, -1, 2**70, 10**12, 1e308, "x", [], {}, [1], {"a": 1})


def stored() -> dict[str, Any]:
    """An alert about two cases of one shipment, one of which a shop had, as the database has it."""
    hits = (
        KeptHit("case 1", AT - DAY_MS, 0, "shipment", 1, 46.6, 125.1, 0, ()),
        KeptHit("case 2", AT, 2, "shipment", 0, 47.1, 124.9, 0, (0,)),
    )
    part = Part(
        "dealer", (KeptCell("dealer", "230600", hits, ((0,), (1,)), 1.0),), (0.003, 0.0001, 0.00001), 1.0,
        dict.fromkeys(Settings().windows_days, (4, 1, 1)), {"shipment": {"01": 2, "0s": 3}},
    )  # fmt: skip
    material = Material("city", AT, (part,), (6, 0, 0), 0.0, Settings(), Calibration().claim.coefficients)
    kept = msgspec.json.decode(msgspec.json.encode(material))
    reason = {"code": "bulk", "parameters": {"nats": 9.0, "threshold": 8.5}, "versions": {}}
    return {"id": 1, "reason": reason, "probability": 0.9, "material": kept}


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:  # noqa: ANN401  JSON of any kind
    """The paths of everything inside."""
    inside = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(each for key, value in inside for each in places(value, (*path, key)))]


def put(row: dict[str, Any], path: tuple[Any, ...], value: object) -> dict[str, Any]:
    changed = copy.deepcopy(row)
    node: Any = changed
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return changed


def test_what_is_sound_is_computed() -> None:
    names = [each.name for each in reproduced([stored()])]
    assert names[:2] == ["nats", "threshold"]


@given(st.data())
def test_a_page_of_whatever_is_stored_says_what_was_stated_and_that_it_was_not_computed(data: st.DataObject) -> None:
    row = stored()
    path = data.draw(st.sampled_from([each for each in places(row) if len(each) > 1 and each[0] != "id"]))
    changed = put(row, path, data.draw(st.sampled_from(HOSTILE)))
    said = explain_stored(changed["reason"], 0.9, changed["material"])
    assert said.kept in ("whole", "none", "damaged", "older", "newer")
    if said.kept == "damaged":
        assert said.recomputed is None
        assert not said.changes


@pytest.mark.parametrize(
    ("form", "settings", "says"),
    [
        (FORM + 1, Settings().version, "newer"),
        (FORM - 1, Settings().version, "older"),
        (FORM, "1", "older"),
        (FORM, "9999", "newer"),
        (None, "1", "older"),
        (FORM, Settings().version, "damaged"),
    ],
)
def test_what_another_version_kept_is_not_computed_and_says_whose_it_is(
    form: int | None, settings: str, says: str
) -> None:
    row = stored()
    row["reason"]["versions"] = {"settings": settings}
    del row["material"]["parts"]
    if form is None:
        del row["material"]["form"]
    else:
        row["material"]["form"] = form
    said = explain_stored(row["reason"], 0.9, row["material"])
    assert said.kept == says
    assert said.nats == 9.0, "what was stated stays"
    refusal = FiguresError if says == "damaged" else OtherVersionError
    with pytest.raises(refusal, match="alert 1"):
        list(reproduced([row]))


def test_figures_that_older_rules_came_to_are_no_sign_of_tampering_and_those_of_this_version_are() -> None:
    row = stored()
    row["reason"]["versions"] = {"settings": "1"}
    said = explain_stored(row["reason"], 0.9, row["material"])
    assert (said.kept, said.agrees, said.recomputed) == ("older", None, None)
    with pytest.raises(OtherVersionError):
        list(reproduced([row]))
    row["reason"]["versions"] = {"settings": Settings().version}
    said = explain_stored(row["reason"], 0.9, row["material"])
    assert (said.kept, said.agrees) == ("whole", False)
    assert not all(each.agrees for each in reproduced([row]))


def test_an_alert_of_older_rules_that_comes_to_the_same_is_computed_as_ever() -> None:
    row = stored()
    row["reason"]["versions"] = {"settings": "1"}
    read = read_material(row["material"])
    assert read is not None
    found = recount(read)
    given_figures = {"nats": found.nats, "threshold": found.threshold, "observed": found.weighed.pieces}
    row["reason"]["parameters"] = {**given_figures, "expected": found.weighed.expected, "surge": found.weighed.surge}
    row["probability"] = found.probability
    said = explain_stored(row["reason"], found.probability, row["material"])
    assert (said.kept, said.agrees) == ("whole", True)
    assert said.changes
    assert all(each.agrees for each in reproduced([row]))


@given(st.data())
def test_whatever_is_changed_is_computed_or_refused_by_the_number_of_the_alert(data: st.DataObject) -> None:
    row = stored()
    path = data.draw(st.sampled_from([each for each in places(row) if len(each) > 1]))
    changed = put(row, path, data.draw(st.sampled_from(HOSTILE)))
    refused = ""
    try:
        found = [each.alert for each in reproduced([changed])]
    except FiguresError as error:
        found, refused = [], error.message
    assert set(found) == {1} or "alert 1" in refused


PIECE: Final = ("material", "parts", 0, "cells", 0, "pieces", 0)
KIND: Final = ("material", "parts", 0, "cells", 0, "hits", 0, 2)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (PIECE, [7]),
        (PIECE, [2**70]),
        (KIND, 9),
        (("reason",), []),
        (("reason", "parameters"), 1.0),
        (("reason", "parameters", "nats"), "x"),
        (("id",), "x"),
    ],
)
def test_what_points_nowhere_is_refused(path: tuple[Any, ...], value: object) -> None:
    row = put(stored(), path, value)
    if path == ("id",):
        row["material"] = {"rule": "city"}
    with pytest.raises(FiguresError):
        list(reproduced([row]))


def test_a_count_that_would_take_for_ever_is_refused() -> None:
    row = put(stored(), ("material", "parts", 0, "silent", "shipment", "01"), 10**12)
    with pytest.raises(msgspec.ValidationError, match="nobody saw"):
        read_material(row["material"])


def test_what_is_no_alert_is_refused() -> None:
    with pytest.raises(FiguresError, match="alert 3"):
        list(reproduced(msgspec.json.decode(b"[3]")))
