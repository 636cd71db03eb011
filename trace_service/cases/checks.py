"""Field checks: tasks for inspectors and test purchases; what they find is evidence, and a scan like any other."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from contracts.errors import CodeError
from contracts.gs1 import parse
from trace_service.cases.attachments import Upload
from trace_service.cases.errors import CaseStateError
from trace_service.cases.machine import Action, Actor
from trace_service.cases.model import Check, Result
from trace_service.cases.queries import SQL
from trace_service.cases.service import Order, act, attach, find
from trace_service.domain.roles import Role
from trace_service.store.connection import Connection, one
from trace_service.web.errors import InvalidParameterError, NotFoundError, RoleMissingError


class Kind(StrEnum):
    """What is to be done."""

    VISIT = "visit"
    TEST_PURCHASE = "test_purchase"


class Found(StrEnum):
    """What came of it."""

    FOUND = "found"
    NOT_FOUND = "not_found"
    CODE_REMOVED = "code_removed"
    REFUSED = "refused"
    BOUGHT = "bought"
    LISTING_GONE = "listing_gone"


RESULTS = {
    Kind.VISIT: (Found.FOUND, Found.NOT_FOUND, Found.CODE_REMOVED, Found.REFUSED),
    Kind.TEST_PURCHASE: (Found.BOUGHT, Found.LISTING_GONE, Found.CODE_REMOVED, Found.REFUSED),
}


# What was found or bought has a code, which the form asks for.
WITH_CODE = frozenset({Found.FOUND, Found.BOUGHT})


class Task(BaseModel):
    """A check as it is ordered; times are aware."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    kind: Kind = Kind.VISIT
    instructions: Annotated[str, Field(min_length=1, max_length=2000)]
    place: Annotated[str, Field(max_length=300)] = ""
    listing: Annotated[str, Field(max_length=2000)] = ""
    assignee: Annotated[str, Field(pattern=r"^[A-Za-z0-9._@-]{1,64}$")] | None = None
    due_at: datetime

    @model_validator(mode="after")
    def _names_the_listing(self) -> "Task":
        if self.kind is Kind.TEST_PURCHASE and not self.listing:
            raise ValueError("a test purchase names the listing")
        return self


class Report(BaseModel):
    """What an inspector enters; degrees and metres, `code` as it was read or typed."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    result: Found
    code: Annotated[str, Field(max_length=512)] = ""
    note: Annotated[str, Field(max_length=4000)] = ""
    price: Annotated[Decimal, Field(ge=0, le=10_000_000, decimal_places=2)] | None = None
    lon: Annotated[float, Field(ge=-180, le=180)] | None = None
    lat: Annotated[float, Field(ge=-90, le=90)] | None = None
    accuracy_m: Annotated[float, Field(ge=0, le=5_000_000)] | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> "Report":
        if (self.lon is None) != (self.lat is None):
            raise ValueError("a position has longitude and latitude")
        if self.result in WITH_CODE and not self.code:
            raise ValueError("what was found has a code")
        return self


def order_check(connection: Connection, actor: Actor, case: int | None, task: Task) -> int:
    """Order a check, for a case or for none, and return its number.

    Raises as `act`, and `InvalidParameterError` for a stranger.
    """
    with connection.transaction():
        if task.assignee is not None:
            roles = [Role.INSPECTOR.value, Role.ANALYST.value, Role.MANAGER.value]
            query = {"brand": actor.brand, "login": task.assignee, "roles": roles}
            if connection.execute(SQL["account_exists"], query).fetchone() is None:
                raise InvalidParameterError("assignee: no inspector of that login", advice="Choose one.")
        said = {"kind": task.kind.value, "place": task.place, "assignee": task.assignee}
        _act(connection, actor, case, Order(Action.ORDER_CHECK, said))
        row = {**task.model_dump(mode="json"), "due_at": task.due_at}
        made = one(connection, SQL["insert_check"], {**row, "brand": actor.brand, "case": case, "login": actor.login})
        return int(made.id)


def cancel_check(connection: Connection, actor: Actor, number: int) -> None:
    """Call a check off. Raises `NotFoundError`, `CaseStateError` or `RoleMissingError`."""
    with connection.transaction():
        check = find_check(connection, actor.brand, number)
        _act(connection, actor, check.case_id, Order(Action.CANCEL_CHECK, {"check": number}))
        _end(connection, number, "cancelled")


def report_check(connection: Connection, actor: Actor, number: int, report: Report, photos: list[Upload]) -> None:
    """Record what came of a check: the photos are kept, the code becomes a scan, and the case hears of it.

    Raises `NotFoundError`, `RoleMissingError`, `CaseStateError` for a check that is over, `AttachmentError`, and
    `InvalidParameterError` for a result that its kind does not have.
    """
    with connection.transaction():
        check = find_check(connection, actor.brand, number)
        if actor.role is Role.INSPECTOR and check.assignee not in (None, actor.login):
            raise RoleMissingError("the check is another inspector's", advice="Ask for it to be assigned to you.")
        if report.result not in RESULTS[Kind(check.kind)]:
            raise InvalidParameterError("result: not one of this kind of check", advice="Choose one.")
        scan = _scan(connection, actor, report)
        said = {"check": number, "result": report.result.value, "code": report.code, **(scan or {})}
        hashes = [photo.sha256.hex() for photo in photos]
        _act(connection, actor, check.case_id, Order(Action.REPORT_CHECK, {**said, "photos": hashes}))
        _end(connection, number, "done")
        for photo in photos:
            if check.case_id is None:
                raise InvalidParameterError("files: photos are kept with a case, and this check has none")
            attach(connection, actor, check.case_id, photo, number)
        row = {**report.model_dump(), "result": report.result.value, "check": number, "login": actor.login}
        connection.execute(SQL["insert_result"], {**row, **(scan or dict.fromkeys(("device", "boot", "seq")))})


def _act(connection: Connection, actor: Actor, case: int | None, order: Order) -> None:
    """Let the case hear of it; without one, only who may do it is asked."""
    if case is not None:
        act(connection, actor, case, order)
        return
    needed = Role.INSPECTOR if order.action is Action.REPORT_CHECK else Role.ANALYST
    if not actor.role.covers(needed):
        raise RoleMissingError(f"this needs the role {needed.value}", advice="Ask a manager for it.")


def _scan(connection: Connection, actor: Actor, report: Report) -> dict[str, object] | None:
    """Queue the entered code as an inspection; a text that is no code stays a text."""
    if not report.code:
        return None
    try:
        parse(report.code)
    except CodeError:
        return None
    query = {
        "brand": actor.brand,
        "login": actor.login,
        **report.model_dump(include={"code", "lon", "lat", "accuracy_m"}),
    }
    made = one(connection, SQL["inspect"], query)
    return {"device": made.device, "boot": str(made.boot), "seq": made.seq}


def _end(connection: Connection, number: int, state: str) -> None:
    found = one(connection, SQL["lock_check"], {"id": number})
    if found.state != "open":
        raise CaseStateError(f"the check is {found.state}", advice="Order another one.")
    connection.execute(SQL["end_check"], {"id": number, "state": state})


def find_check(connection: Connection, brand: str, number: int) -> Check:
    """Return one check. Raises `NotFoundError`."""
    query = {"brand": brand, "case": None, "id": number, "state": None}
    row = connection.execute(SQL["checks"], query).fetchone()
    if row is None:
        raise NotFoundError(f"no check {number}")
    return Check.model_validate(row)


def checks(connection: Connection, brand: str, case: int | None = None, state: str | None = None) -> list[Check]:
    """Return checks, open ones and the most urgent first; of one case or of all."""
    query = {"brand": brand, "case": case, "id": None, "state": state}
    return [Check.model_validate(row) for row in connection.execute(SQL["checks"], query)]


def results(connection: Connection, brand: str, case: int) -> list[Result]:
    """Return what came of a case's checks, oldest first."""
    find(connection, brand, case)
    query = {"case": case, "check": None}
    return [Result.model_validate(row) for row in connection.execute(SQL["results"], query)]


def results_of(connection: Connection, brand: str, number: int) -> list[Result]:
    """Return what came of one check. Raises `NotFoundError`."""
    find_check(connection, brand, number)
    query = {"case": None, "check": number}
    return [Result.model_validate(row) for row in connection.execute(SQL["results"], query)]
