"""Territories as they were recorded last: what a later version covers, an earlier one does not hold."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from trace_service.detection.live.network import Span, without

START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = st.integers(0, 20)


def span(begin: int, length: int | None) -> Span:
    first = START + timedelta(days=begin)
    return Span(first, None if length is None else first + timedelta(days=length))


SPANS = st.builds(span, DAYS, st.none() | st.integers(1, 10))


def holds(each: Span, moment: datetime) -> bool:
    return each.begin <= moment and (each.end is None or moment < each.end)


@given(SPANS, st.lists(SPANS, max_size=4), st.integers(0, 40))
def test_what_is_left_of_a_version_is_what_no_later_one_covers(own: Span, later: list[Span], day: int) -> None:
    moment = START + timedelta(days=day)
    left = [each for each in without(own, later) if holds(each, moment)]
    wanted = holds(own, moment) and not any(holds(each, moment) for each in later)
    assert len(left) == wanted
