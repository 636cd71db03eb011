"""Where scans were made, as the engine is told: in WGS-84, whatever system a phone spoke, in one batch or alone."""

from datetime import UTC, datetime
from types import SimpleNamespace
from uuid import UUID

import numpy as np
import pytest
from numpy.typing import NDArray

from geofence.coordinates import Crs, convert
from trace_service.detection.live.goods import Keeper, Situation
from trace_service.detection.live.sights import Observer
from trace_service.detection.observations import Position, Sighting
from trace_service.domain.custody import Custody
from trace_service.domain.verification import Code, CodeState

NOW = datetime(2026, 5, 4, 8, tzinfo=UTC)
UNIT = "/01/09506000134352/21/1NQNXYY6DXZ9WHSDRV17"


class Everywhere:
    """A mainland without an end."""

    def contains_many(self, lons: NDArray[np.float64], lats: NDArray[np.float64]) -> NDArray[np.bool_]:
        del lats
        return np.ones(len(lons), dtype=np.bool_)


def observer() -> Observer:
    return Observer(Keeper(Situation(Custody({}, {}), {}, {})), Everywhere())


def scan(seq: int, lon: float, lat: float, crs: str | None, accuracy_m: float = 20.0) -> SimpleNamespace:
    return SimpleNamespace(
        device="phones", boot=UUID(int=1), seq=seq, ts=NOW, received_at=NOW, site="", activity="consumer", reference="",
        operator="a phone", symbology="QRCode", lon=lon, lat=lat, accuracy_m=accuracy_m, platform="wechat", crs=crs,
    )  # fmt: skip


def position(told: Observer, row: SimpleNamespace) -> Position:
    (found,) = told.scan(row, Code(CodeState.GENUINE, UNIT, "09506000134352", "brand"), NOW)
    assert isinstance(found, Sighting)
    return found.position


@pytest.mark.parametrize("crs", [Crs.GCJ02, Crs.BD09])
def test_shifted_positions_are_where_they_were_taken_to_the_bit_alone_or_with_others(crs: Crs) -> None:
    random = np.random.default_rng(4)
    lons, lats = random.uniform(100, 120, 37), random.uniform(24, 40, 37)
    shifted = convert(lons, lats, (Crs.WGS84, crs), Everywhere())
    rows = [scan(seq, lon, lat, crs.value) for seq, (lon, lat) in enumerate(zip(*shifted, strict=True))]
    together = observer()
    together.convert(rows)
    found = [position(together, row) for row in rows]
    assert found == [position(observer(), row) for row in rows]
    places = np.array([(each.lon, each.lat) for each in found], dtype=np.float64)
    assert np.abs(places - np.stack([lons, lats], axis=1)).max() < 1e-6


def test_plain_positions_stay_and_those_that_name_no_city_are_none() -> None:
    rows = [scan(1, 116.4, 39.9, None), scan(2, 116.4, 39.9, "wgs84"), scan(3, 116.4, 39.9, "gcj02", 90_000.0)]
    told = observer()
    told.convert(rows)
    found = [position(told, row) for row in rows]
    assert [(each.lon, each.lat) for each in found[:2]] == [(116.4, 39.9)] * 2
    assert found[2].lon is None
