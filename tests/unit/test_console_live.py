import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from trace_service.web import live
from trace_service.web.database import Database
from trace_service.web.live import LiveUpdates


def test_a_burst_becomes_one_event_a_kind_and_other_brands_hear_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(live, "HEARTBEAT_SECONDS", 0.05)
    updates = LiveUpdates(Database("postgresql://nobody@127.0.0.1:1/none"))
    until = datetime.now(UTC) + timedelta(minutes=1)

    async def play() -> tuple[list[bytes], list[bytes]]:
        mine, theirs = updates.stream("qingyuan", until), updates.stream("rival", until)
        heard = [await anext(mine)], [await anext(theirs)]
        for _ in range(1000):
            updates._hear(json.dumps({"kind": "stock", "brand": "qingyuan"}))
        updates._hear(json.dumps({"kind": "alert", "brand": "qingyuan"}))
        for payload in ("", "[]", "null", '{"kind": "alert"}', '{"kind": ["x"], "brand": "qingyuan"}'):
            updates._hear(payload)
        heard[0].append(await anext(mine))
        heard[0].append(await anext(mine))
        heard[1].append(await anext(theirs))
        assert updates.audience == 2
        await mine.aclose()
        await theirs.aclose()
        assert updates.audience == 0
        return heard

    mine, theirs = asyncio.run(play())
    assert mine[1] == b"event: alert\ndata: 1\n\nevent: stock\ndata: 1\n\n"
    assert mine[2] == theirs[1] == b": heartbeat\n\n"
