"""Drawings of territories: what was made ready beforehand is not made again by those who look."""

from datetime import UTC, datetime

import pytest

from geofence.maps.catalogue import open_map
from geofence.territory import TerritoryVersion
from trace_service.territories import picture

THEN = datetime(2024, 1, 1, tzinfo=UTC)


def test_no_visitor_waits_for_borders_once_they_are_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    painter = picture.Painter(open_map("tianditu"))
    painter.prepare()

    def simplified(*_: object) -> None:
        raise AssertionError("simplified again")

    monkeypatch.setattr(picture, "simplified", simplified)
    for adcodes in (("110000", "440000"), ("510000",), ("510100",)):
        drawn = painter.paint([TerritoryVersion(dealer="D-1", adcodes=adcodes, valid_from=THEN, recorded_at=THEN)])
        assert drawn.washes[0].path.startswith("M")
        assert len(drawn.land) > 1000
