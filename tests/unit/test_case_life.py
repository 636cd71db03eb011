"""The life of a case, which alerts belong together, and whose turn it is: pure parts."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_service.cases.attachments import safe_name
from trace_service.cases.errors import CaseStateError, SecondPersonError
from trace_service.cases.grouping import Finding, Group, Spot, choose, destinations, near
from trace_service.cases.machine import LIVE, RIGHTS, Action, Actor, Standing, State, allowed, follow
from trace_service.cases.priority import Candidate, choose_day, cold_probability
from trace_service.domain.roles import Role
from trace_service.web.errors import RoleMissingError

NOW = datetime(2026, 3, 2, tzinfo=UTC)
NANJING, SUZHOU, HANGZHOU = (118.80, 32.06), (120.58, 31.30), (120.15, 30.27)
PEOPLE = [Actor("b", f"{role}{number}", role) for role in Role for number in (1, 2)]


@given(st.lists(st.tuples(st.sampled_from(list(Action)), st.sampled_from(PEOPLE)), max_size=30), st.booleans())
def test_whatever_people_try_a_large_case_is_closed_by_two_and_never_without_the_right(
    steps: list[tuple[Action, Actor]],
    needs_second: bool,  # noqa: FBT001  drawn by the test
) -> None:
    state, proposed_by = State.OPEN, None
    for action, actor in steps:
        standing = Standing(state, proposed_by, needs_second)
        try:
            after = follow(standing, action, actor)
        except (RoleMissingError, CaseStateError, SecondPersonError):
            assert action not in allowed(standing, actor)
            continue
        assert action in allowed(standing, actor)
        assert actor.role.covers(RIGHTS[action])
        if after is State.CLOSED and state is not State.CLOSED and needs_second:
            assert action is Action.CONFIRM
            assert state is State.PROPOSED
            assert actor.login != proposed_by
            assert actor.role is Role.MANAGER
        if after is State.PROPOSED and state is not State.PROPOSED:
            proposed_by = actor.login
        state = after
    assert state is not State.MERGED


def test_evidence_after_the_end_opens_a_case_and_after_a_proposal_sends_it_back() -> None:
    analyst = Actor("b", "lin", Role.ANALYST)
    for action in (Action.ATTACH, Action.RECORD_STATEMENT, Action.REPORT_CHECK):
        assert follow(Standing(State.CLOSED), action, analyst) is State.INVESTIGATING
        assert follow(Standing(State.PROPOSED, "wang"), action, analyst) is State.INVESTIGATING
    assert follow(Standing(State.CLOSED), Action.COMMENT, analyst) is State.CLOSED
    with pytest.raises(CaseStateError):
        follow(Standing(State.MERGED), Action.COMMENT, analyst)


def group(case: int, city: str, point: tuple[float, float] | None, *shipments: str, **more: object) -> Group:
    given_ = {"kind": "destination", "last_at": NOW, "live": True, **more}
    return Group(case, spots=(Spot(city, point),), shipments=frozenset(shipments), **given_)  # type: ignore[arg-type]


def finding(city: str, point: tuple[float, float] | None, *shipments: str, days: int = 0) -> Finding:
    return Finding(Spot(city, point), frozenset(shipments), NOW + timedelta(days=days))


def test_a_finding_joins_by_shipment_or_distance_within_thirty_days() -> None:
    groups = [group(1, "320100", NANJING, "S1")]
    assert choose(finding("440100", (113.26, 23.13), "S1"), groups).case == 1
    assert choose(finding("340500", (118.51, 31.69)), groups).case == 1  # Ma'anshan, 50 km on
    assert choose(finding("320500", SUZHOU, "S2"), groups).case is None
    assert choose(finding("320100", NANJING, days=30), groups).case == 1
    assert choose(finding("320100", NANJING, days=31), groups).case is None


def test_a_province_merges_into_its_city_and_the_city_into_its_province() -> None:
    assert choose(finding("320000", None), [group(1, "320100", NANJING)]).case == 1
    assert choose(finding("320100", NANJING), [group(1, "320000", None)]).case == 1
    assert choose(finding("330000", None), [group(1, "320100", NANJING)]).case is None
    assert destinations([Spot("320000", None), Spot("320100", NANJING), Spot("320100", NANJING)]) == ["320100"]


def test_the_third_place_makes_it_a_case_of_the_dealer_that_later_ones_join() -> None:
    two = [group(1, "320100", NANJING, "S1"), group(2, "440100", (113.26, 23.13), "S2")]
    made = choose(finding("110000", (116.41, 39.90), "S3"), two)
    assert (made.case, made.kind, made.absorbed) == (None, "dealer", (1, 2))
    whole = [group(3, "110000", (116.41, 39.90), "S3", kind="dealer")]
    assert choose(finding("530100", (102.83, 24.88), "S9"), whole).case == 3
    closed = [group(1, "320100", NANJING, live=False), group(2, "440100", (113.26, 23.13))]
    assert choose(finding("110000", (116.41, 39.90)), closed).kind == "destination"


@given(st.tuples(st.floats(-179, 179), st.floats(-80, 80)), st.tuples(st.floats(-179, 179), st.floats(-80, 80)))
def test_nearness_is_mutual(first: tuple[float, float], second: tuple[float, float]) -> None:
    assert near(Spot("", first), Spot("", second)) == near(Spot("", second), Spot("", first))


@given(st.lists(st.floats(0, 1e6), max_size=80), st.integers(1, 20), st.floats(0, 1))
def test_a_day_takes_the_most_urgent_and_an_audit_that_anyone_can_draw_again(
    losses: list[float], budget: int, share: float
) -> None:
    candidates = [Candidate(number, loss) for number, loss in enumerate(losses, start=1)]
    chosen = choose_day(candidates, budget, share, date(2026, 3, 2))
    assert chosen == choose_day(candidates[::-1], budget, share, date(2026, 3, 2))
    first = [each for each in chosen if each.reason == "budget"]
    assert len(first) == min(budget, len(candidates))
    assert len({each.case for each in chosen}) == len(chosen)
    by_id = {each.case: each.priority for each in candidates}
    left = set(by_id) - {each.case for each in first}
    if first and left:
        assert min(by_id[each.case] for each in first) >= max(by_id[case] for case in left)
    assert all(0 < each.probability <= 1 for each in chosen)


def test_the_audit_is_a_twentieth_of_the_budget_in_the_long_run() -> None:
    candidates = [Candidate(number, float(1000 - number)) for number in range(1, 301)]
    days = [choose_day(candidates, 20, 0.05, date(2026, 1, 1) + timedelta(days=day)) for day in range(365)]
    drawn = [each for day in days for each in day if each.reason == "audit"]
    assert 0.75 < len(drawn) / 365 < 1.25
    assert {round(each.probability, 6) for each in drawn} == {round(1 / 280, 6)}
    assert len({each.case for each in drawn}) > 150


def test_what_is_believed_of_an_alert_grows_with_its_strength_and_is_never_certain() -> None:
    assert cold_probability(9.5, 9.5) == pytest.approx(0.8)
    assert 0.8 < cold_probability(11.5, 9.5) < cold_probability(12.5, 9.5) < cold_probability(90, 9.5) == 0.97


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("../../etc/passwd", "passwd.jpg"),
        ("C:\\Users\\x\\货架 1.JPG", "货架 1.jpg"),
        ("a\r\nSet-Cookie: x.jpg", "a_Set-Cookie_ x.jpg"),
        ("", "file.jpg"),
        ("x" * 400 + ".png", "x" * 116 + ".jpg"),
    ],
)
def test_a_files_name_is_decoration(name: str, expected: str) -> None:
    assert safe_name(name, "image/jpeg") == expected


def test_every_live_state_has_a_way_to_the_end() -> None:
    manager = Actor("b", "wang", Role.MANAGER)
    for state in LIVE:
        assert {Action.CLOSE, Action.CONFIRM} & allowed(Standing(state, "chen"), manager), state
