"""Cases from the worker's alerts to their end, on a real database."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import psycopg
import pytest
from case_parts import BRAND, divert, do, hire, only
from trace_market import Market, Message

from trace_service.cases.attachments import inspect
from trace_service.cases.checks import Found, Kind, Report, Task, checks, order_check, report_check, results
from trace_service.cases.errors import AttachmentError, CaseStateError, SecondPersonError
from trace_service.cases.history import broken_at
from trace_service.cases.machine import Action, Actor, State
from trace_service.cases.model import Policy
from trace_service.cases.service import Order, act, attach, attachments, cases, history, set_policy
from trace_service.web.errors import InvalidParameterError, NotFoundError, RoleMissingError

PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)


@pytest.fixture
def people(market: Market) -> dict[str, Actor]:
    return hire(market.database.owner_dsn)


def soon() -> datetime:
    return datetime.now(UTC) + timedelta(days=3)


def actions(market: Market, number: int) -> list[tuple[str | None, str, str]]:
    return [(each.actor, each.action, each.to_state) for each in history(market.connection, number)]


def test_an_alert_is_in_a_case_as_soon_as_it_is_visible_with_what_it_is_worth(market: Market) -> None:
    shipped = market.cases_to("D-CHENGDU")[:10]
    divert(market, shipped, "nanjing")
    case = only(market)
    assert (case.dealer, case.kind, case.state, case.destinations) == ("D-CHENGDU", "destination", "open", ["320100"])
    items = sum(len(each["items"]) for each in shipped)
    assert case.remaining == items - 10
    assert case.shipments == [shipped[0]["order"]]
    assert Decimal(0) < case.priority < case.value
    assert 0.8 < case.probability < 1
    assert case.calibrated
    assert market.rows("SELECT count(*) FROM trace.case_evidence") == [(10,)]
    assert [each[1] for each in actions(market, case.id)] == ["opened"]


def test_another_city_of_the_same_shipment_joins_the_case(
    market: Market,
) -> None:
    shipped = market.cases_to("D-CHENGDU")
    divert(market, shipped[:8], "nanjing")
    first = only(market)
    divert(market, shipped[8:16], "hangzhou")
    assert only(market).id == first.id
    assert only(market).destinations == ["320100", "330100"]
    assert [each[1] for each in actions(market, first.id)] == ["opened", "alert_joined"]


def test_small_cases_take_one_person_and_large_ones_two_and_never_the_same(
    market: Market, people: dict[str, Actor]
) -> None:
    divert(market, market.cases_to("D-CHENGDU")[:10], "nanjing")
    number = only(market).id
    set_policy(market.connection, BRAND, Policy(two_person_value=Decimal(1)), "wang")
    case = do(market, people["wang"], number, Action.TAKE)
    assert (case.state, case.owner) == (State.INVESTIGATING, "wang")
    case = do(market, people["wang"], number, Action.CLOSE, outcome="confirmed", note="two shops sell them")
    assert (case.state, case.proposed_outcome, case.outcome) == (State.PROPOSED, "confirmed", None)
    assert market.rows("SELECT state FROM trace.alert") == [("acknowledged",)]
    with pytest.raises(SecondPersonError):
        do(market, people["wang"], number, Action.CONFIRM)
    with pytest.raises(RoleMissingError):
        do(market, people["lin"], number, Action.CONFIRM)
    case = do(market, people["chen"], number, Action.CONFIRM)
    assert (case.state, case.outcome, case.proposed_by, case.closed_by) == (State.CLOSED, "confirmed", "wang", "chen")
    assert market.rows("SELECT state, outcome, decided_by FROM trace.alert") == [("closed", "confirmed", "chen")]
    again = do(market, people["wang"], number, Action.REOPEN, note="a new witness")
    assert (again.state, again.outcome, again.proposed_by) == (State.INVESTIGATING, None, None)
    assert market.rows("SELECT state, outcome FROM trace.alert") == [("acknowledged", None)]
    set_policy(market.connection, BRAND, Policy(two_person_value=Decimal(10**9)), "wang")
    assert do(market, people["lin"], number, Action.CLOSE, outcome="e_commerce").state == State.CLOSED


def test_the_database_itself_refuses_one_person_as_both(market: Market, people: dict[str, Actor]) -> None:
    divert(market, market.cases_to("D-CHENGDU")[:10], "nanjing")
    with pytest.raises(psycopg.errors.CheckViolation):
        market.connection.execute(
            "UPDATE trace.case_file SET state = 'closed', outcome = 'unresolved', proposed_by = %s, closed_by = %s",
            (people["wang"].login, people["wang"].login),
        )


@pytest.mark.parametrize("login", ["he", "zhao"])
def test_who_only_looks_or_inspects_changes_no_case(market: Market, people: dict[str, Actor], login: str) -> None:
    divert(market, market.cases_to("D-CHENGDU")[:10], "nanjing")
    number = only(market).id
    for action in set(Action) - {Action.REPORT_CHECK}:
        with pytest.raises(RoleMissingError):
            do(market, people[login], number, action, outcome="confirmed", text="x")
    assert [each[1] for each in actions(market, number)] == ["opened"]


def test_a_page_that_is_out_of_date_decides_nothing(market: Market, people: dict[str, Actor]) -> None:
    divert(market, market.cases_to("D-CHENGDU")[:10], "nanjing")
    case = only(market)
    do(market, people["lin"], case.id, Action.COMMENT, text="called the dealer")
    with pytest.raises(CaseStateError):
        act(market.connection, people["lin"], case.id, Order(Action.CLOSE, {"outcome": "confirmed"}, case.version))


def test_another_brand_s_case_does_not_exist(market: Market, people: dict[str, Actor]) -> None:
    divert(market, market.cases_to("D-CHENGDU")[:10], "nanjing")
    stranger = Actor("rival", "wang", people["wang"].role)
    with pytest.raises(NotFoundError):
        do(market, stranger, only(market).id, Action.TAKE)
    assert cases(market.connection, "rival", None) == []


def test_goods_that_were_entitled_after_all_end_an_untouched_case_and_send_back_a_proposed_one(
    market: Market, people: dict[str, Actor]
) -> None:
    shipped = market.cases_to("D-CHENGDU")
    divert(market, shipped[:8], "nanjing")
    _send_to_nanjing(market, shipped[:8])
    assert (only(market).state, only(market).outcome) == (State.CLOSED, "retracted")
    assert actions(market, only(market).id)[-1] == (None, "retracted", "closed")
    assert people


def test_a_closed_case_opens_again_when_its_evidence_is_taken_back(market: Market, people: dict[str, Actor]) -> None:
    shipped = market.cases_to("D-CHENGDU")[:8]
    divert(market, shipped, "nanjing")
    number = only(market).id
    assert do(market, people["lin"], number, Action.CLOSE, outcome="confirmed").state == State.CLOSED
    _send_to_nanjing(market, shipped)
    case = only(market)
    assert (case.state, case.outcome) == (State.INVESTIGATING, None)
    assert (None, "evidence_retracted", "investigating") in actions(market, number)
    # What it had rested on stays on record beside what is believed now.
    assert market.rows("SELECT DISTINCT place, dealer FROM trace.case_evidence") == [("outside", "D-CHENGDU")]
    assert do(market, people["lin"], number, Action.CLOSE, outcome="documented_transfer").state == State.CLOSED
    market.drain()
    assert only(market).state == State.CLOSED


def test_more_goods_after_closing_open_the_case_again(market: Market, people: dict[str, Actor]) -> None:
    shipped = market.cases_to("D-CHENGDU")
    divert(market, shipped[:8], "nanjing")
    number = only(market).id
    do(market, people["lin"], number, Action.CLOSE, outcome="tourist_or_gift")
    divert(market, shipped[8:16], "nanjing", 600)
    case = only(market)
    assert (case.id, case.state, case.alerts) == (number, State.INVESTIGATING, 2)
    assert actions(market, number)[-1] == (None, "evidence_added", "investigating")


def _send_to_nanjing(market: Market, shipped: list[dict[str, object]]) -> None:
    for case in shipped:
        back = Message("station-ship", "dc-east", market.number(), 50, str(case["label"]), "receive")
        again = Message(
            "station-ship", "dc-east", market.number(), 60, str(case["label"]), "ship", "", "SO-N", "D-NANJING"
        )
        market.land(back, again)
    market.drain()


def test_the_history_is_a_chain_that_cannot_be_cut_or_rewritten(market: Market, people: dict[str, Actor]) -> None:
    divert(market, market.cases_to("D-CHENGDU")[:10], "nanjing")
    number = only(market).id
    do(market, people["lin"], number, Action.TAKE)
    do(market, people["lin"], number, Action.ASK_DEALER, question="Where did SO-1 go?", deadline=soon())
    do(market, people["lin"], number, Action.RECORD_STATEMENT, text="一家超市买走了 40 箱。")
    entries = [each.model_dump() for each in history(market.connection, number)]
    assert [each["action"] for each in entries] == ["opened", "take", "ask_dealer", "record_statement"]
    assert broken_at(number, entries) is None
    assert broken_at(number, entries[:1] + entries[2:]) == 2
    assert broken_at(number, [*entries[:3], {**entries[3], "detail": {"text": "nothing"}}]) == 4
    assert broken_at(number + 1, entries) == 1
    for statement in ("UPDATE trace.case_history SET actor = 'x'", "DELETE FROM trace.case_history"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            market.connection.execute(statement)  # type: ignore[call-overload]
    for table in ("case_evidence", "case_attachment", "field_check_result", "case_selection"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            market.connection.execute(f"DELETE FROM trace.{table}")  # type: ignore[arg-type]  # noqa: S608  a constant


def test_a_file_is_kept_by_its_content_and_opens_a_closed_case(market: Market, people: dict[str, Actor]) -> None:
    divert(market, market.cases_to("D-CHENGDU")[:10], "nanjing")
    number = only(market).id
    upload = inspect("../../etc/shelf photo.php", PNG)
    attach(market.connection, people["lin"], number, upload)
    attach(market.connection, people["lin"], number, upload)
    (kept,) = attachments(market.connection, number)
    assert (kept.name, kept.media_type, kept.sha256) == ("shelf photo.png", "image/png", upload.sha256)
    assert market.rows("SELECT content FROM trace.case_attachment") == [(PNG,)]
    for content in (b"", b"<script>alert(1)</script>", b"MZ\x90", PNG + bytes(11 * 1024 * 1024)):
        with pytest.raises(AttachmentError):
            inspect("shelf.png", content)
    do(market, people["lin"], number, Action.CLOSE, outcome="unresolved")
    attach(market.connection, people["lin"], number, inspect("late.png", PNG + b"1"))
    assert only(market).state == State.INVESTIGATING


def test_what_an_inspector_finds_is_evidence_and_a_scan_like_any_other(
    market: Market, people: dict[str, Actor]
) -> None:
    shipped = market.cases_to("D-CHENGDU")
    divert(market, shipped[:10], "nanjing")
    number = only(market).id
    task = Task(instructions="看看货架", place="南京市玄武区", assignee="zhao", due_at=soon())
    with pytest.raises(InvalidParameterError):
        order_check(market.connection, people["lin"], number, task.model_copy(update={"assignee": "he"}))
    check = order_check(market.connection, people["lin"], number, task)
    assert only(market).open_checks == 1
    code = shipped[3]["items"][2]
    report = Report(result=Found.FOUND, code=code, note="3 瓶", lon=118.80, lat=32.06, accuracy_m=12)
    with pytest.raises(RoleMissingError):
        report_check(market.connection, people["he"], check, report, [])
    report_check(market.connection, people["zhao"], check, report, [inspect("shelf.png", PNG)])
    with pytest.raises(CaseStateError):
        report_check(market.connection, people["zhao"], check, report, [])
    market.drain()
    (result,) = results(market.connection, BRAND, number)
    assert (result.result, result.by, result.device) == ("found", "zhao", f"inspector-{BRAND}")
    found = market.rows(
        "SELECT activity, place, city, dealer, code_state FROM trace.verdict WHERE device = %s AND seq = %s",
        result.device, result.seq,
    )  # fmt: skip
    assert found == [("inspect", "outside", "320100", "D-CHENGDU", "genuine")]
    assert market.rows("SELECT ranges::text FROM landing.received WHERE device = %s", result.device) == [("{[1,2)}",)]
    assert [(each.state, each.kind) for each in checks(market.connection, BRAND)] == [("done", "visit")]
    (photo,) = attachments(market.connection, number)
    assert photo.field_check == check
    said = history(market.connection, number)[-1].detail
    assert (said["photos"], said["seq"]) == ([photo.sha256.hex()], 1)


def test_a_test_purchase_names_its_listing_and_a_text_that_is_no_code_stays_a_text(
    market: Market, people: dict[str, Actor]
) -> None:
    divert(market, market.cases_to("D-CHENGDU")[:10], "nanjing")
    number = only(market).id
    with pytest.raises(ValueError, match="listing"):
        Task(kind=Kind.TEST_PURCHASE, instructions="buy two", due_at=soon())
    listing = "https://shop.example/item/77"
    task = Task(kind=Kind.TEST_PURCHASE, instructions="buy two", listing=listing, due_at=soon())
    check = order_check(market.connection, people["lin"], number, task)
    with pytest.raises(InvalidParameterError):
        report_check(market.connection, people["zhao"], check, Report(result=Found.NOT_FOUND), [])
    report = Report(result=Found.BOUGHT, code="scratched off", price=Decimal("12.50"))
    report_check(market.connection, people["zhao"], check, report, [])
    (result,) = results(market.connection, BRAND, number)
    assert (result.code, result.price, result.device) == ("scratched off", Decimal("12.50"), None)
    assert market.rows("SELECT count(*) FROM landing.scan WHERE activity = 'inspect'") == [(0,)]
