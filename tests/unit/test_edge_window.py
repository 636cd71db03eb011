import random

import pytest

from contracts.topics import Kind
from edge.backoff import Backoff
from edge.outbox import Row
from edge.uplink.window import CAPACITY, MESSAGE_BYTES, MESSAGE_EVENTS, Window, messages


def rows(count: int, *, boot: str = "a" * 32, kind: Kind = Kind.SCAN, start: int = 1, size: int = 10) -> list[Row]:
    return [Row(seq, boot, seq, kind, b"x" * size) for seq in range(start, start + count)]


def test_the_window_has_room_for_100_until_the_application_acknowledges() -> None:
    window = Window()
    window.launched(rows(60), 1, now=0)
    window.taken(1)
    assert window.room == CAPACITY - 60 == 40
    window.landed(range(1, 31))
    assert window.room == 70


def test_an_unacknowledged_event_is_due_after_30_s_then_within_doubling_times() -> None:
    window = Window(draw=lambda: 1.0)
    now, waits = 0.0, []
    for attempt in range(7):
        window.launched(rows(1), attempt, now)
        window.taken(attempt)
        wait = next(seconds for seconds in range(1, 2000) if window.due(now + seconds))
        waits.append(wait)
        now += wait
    assert waits == [30, 60, 120, 240, 480, 960, 960]


def test_resends_of_a_fleet_are_spread_evenly() -> None:
    source = random.Random(4)
    delays = []
    for _ in range(2000):
        window = Window(draw=source.random)
        window.launched(rows(1), 1, 0)
        window.launched(rows(1), 2, 30)
        window.taken(2)
        delays.append(next(seconds for seconds in range(61) if window.due(30 + seconds)))
    counts = [sum(start <= delay < start + 10 for delay in delays) for start in range(0, 60, 10)]
    assert min(counts) > 250, counts


def test_only_what_the_broker_did_not_confirm_is_sent_at_once_on_the_next_connection() -> None:
    window = Window()
    window.launched(rows(2), 7, now=0)
    window.launched(rows(2, start=3), 8, now=0)
    window.taken(7)
    window.disconnected(5)
    assert [row.seq for row in window.due(5)] == [3, 4]


def test_a_broker_that_confirms_nothing_for_30_s_counts_as_stuck() -> None:
    window = Window()
    window.launched(rows(1), 1, now=0)
    assert not window.stuck(29)
    assert window.stuck(30)
    window.taken(1)
    assert not window.stuck(30)


def test_a_short_draw_is_no_proof_against_the_broker() -> None:
    window = Window(draw=lambda: 0.0)
    window.launched(rows(100), 1, now=0)
    window.taken(1)
    window.launched(rows(100), 2, now=30)
    assert not window.stuck(30.5), "half a second on a slow link is no reason to connect anew"
    assert window.due(30.5) == [], "nor to send everything twice"
    assert window.stuck(60)
    window.taken(2)
    assert window.due(60) == rows(100)


def test_what_an_earlier_connection_left_unconfirmed_is_sent_again_rather_than_held_against_the_next() -> None:
    window = Window()
    window.launched(rows(2), 1, now=0)
    window.disconnected(3)
    assert not window.stuck(3)
    assert window.due(3) == rows(2)
    window.launched(rows(2), 1, now=3)
    assert window.stuck(500)


def test_a_backlog_travels_in_messages_of_50_consecutive_events_of_a_kind() -> None:
    backlog = [
        *rows(120),
        *rows(2, start=130),
        *rows(3, start=132, kind=Kind.STATUS),
        *rows(1, start=135, boot="b" * 32, kind=Kind.STATUS),
    ]
    assert [len(group) for group in messages(backlog)] == [MESSAGE_EVENTS, MESSAGE_EVENTS, 20, 2, 3, 1]


def test_large_events_stay_below_the_size_of_a_message() -> None:
    sizes = [sum(len(row.body) for row in group) for group in messages(rows(60, size=6000))]
    assert max(sizes) <= MESSAGE_BYTES
    assert sum(sizes) == 60 * 6000


def test_reconnects_wait_anywhere_below_a_doubling_ceiling() -> None:
    backoff = Backoff(1, 60, draw=lambda: 1.0)
    assert [backoff.wait() for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    backoff.reset()
    assert backoff.wait() == 1
    source = random.Random(1)
    early = [Backoff(8, 60, source.random).wait() for _ in range(1000)]
    assert min(early) < 0.1
    assert max(early) > 7.9
    assert sum(early) / 1000 == pytest.approx(4, abs=0.3)
