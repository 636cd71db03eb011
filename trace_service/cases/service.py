"""What people do with cases: each call is one transaction, checked by the state machine and kept in the history."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from trace_service.cases.attachments import LARGEST_CASE, MOST_FILES, Upload
from trace_service.cases.errors import AttachmentError, CaseStateError
from trace_service.cases.history import Step, append
from trace_service.cases.machine import LIVE, SAID, Action, Actor, Outcome, State, follow
from trace_service.cases.model import Attachment, Case, Entry, Policy, standing_of
from trace_service.cases.queries import SQL
from trace_service.cases.sync import policy_of
from trace_service.detection.live.feed import tell_engine
from trace_service.domain.roles import Role
from trace_service.store.connection import Connection, one
from trace_service.web.errors import InvalidParameterError, NotFoundError

PAGE: Final = 50
_CLEARED: Final = {"proposed_outcome": None, "proposed_by": None, "outcome": None, "closed_at": None, "closed_by": None}


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done: the action, what goes into the history, and the version of the case that was read."""

    action: Action
    detail: Mapping[str, Any] = field(default_factory=dict)
    version: int | None = None


def cases(
    connection: Connection, brand: str, states: Sequence[State] | None, *, owner: str | None = None, page: int = 0
) -> list[Case]:
    """Return cases, the most urgent first and closed ones last; PAGE at a time and one more where there are more."""
    wanted = [each.value for each in states] if states is not None else None
    query = {"brand": brand, "states": wanted, "id": None, "owner": owner, "limit": PAGE + 1, "offset": PAGE * page}
    return [Case.model_validate(row) for row in connection.execute(SQL["cases"], query)]


def find(connection: Connection, brand: str, number: int) -> Case:
    """Return one case. Raises `NotFoundError`."""
    query = {"brand": brand, "states": None, "id": number, "owner": None, "limit": 1, "offset": 0}
    row = connection.execute(SQL["cases"], query).fetchone()
    if row is None:
        raise NotFoundError(f"no case {number}")
    return Case.model_validate(row)


def counts(connection: Connection, brand: str) -> dict[str, int]:
    """Return how many cases are in each state."""
    return {row.state: row.number for row in connection.execute(SQL["case_counts"], {"brand": brand})}


def history(connection: Connection, number: int) -> list[Entry]:
    """Return everything that was done to a case, oldest first."""
    return [Entry.model_validate(row) for row in connection.execute(SQL["history"], {"case": number})]


def attachments(connection: Connection, number: int) -> list[Attachment]:
    """Return the files of a case."""
    return [Attachment.model_validate(row) for row in connection.execute(SQL["attachments"], {"case": number})]


def say(connection: Connection, actor: Actor, number: int, order: Order) -> State:
    """Do one of the things that are done by saying so (`SAID`). Raises as `act`."""
    if order.action not in SAID:
        raise InvalidParameterError(f"{order.action} comes with a file or a check", advice="Add it on the case's page.")
    return act(connection, actor, number, order)


def act(connection: Connection, actor: Actor, number: int, order: Order) -> State:
    """Do one thing to a case and return the state that it is in then.

    Raises `NotFoundError`, `RoleMissingError`, `CaseStateError`, `SecondPersonError` or `InvalidParameterError`.
    """
    with connection.transaction():
        change = _begin(connection, actor, number, order)
        columns = _changes(connection, change)
        row = {**change.found._asdict(), **columns, "state": change.after.value, "case": number}
        connection.execute(SQL["write_case"], row)
        _move_alerts(connection, change, columns.get("outcome"))
        said = {name: value for name, value in order.detail.items() if value not in (None, "")}
        append(
            connection, actor.brand, number, Step(order.action.value, change.before, change.after, actor.login, said)
        )
        return change.after


def attach(connection: Connection, actor: Actor, number: int, upload: Upload, check: int | None = None) -> None:
    """Keep a file with a case; the same content again changes nothing. Raises as `act`, and `AttachmentError`."""
    with connection.transaction():
        _begin(connection, actor, number, Order(Action.REPORT_CHECK if check else Action.ATTACH))
        total = one(connection, SQL["attachment_total"], {"case": number})
        if total.size + len(upload.content) > LARGEST_CASE or total.number >= MOST_FILES:
            raise AttachmentError("the case holds too many files", advice="Put the rest where the note can name it.")
        row = {**upload._asdict(), "case": number, "check": check, "size": len(upload.content), "login": actor.login}
        if connection.execute(SQL["insert_attachment"], row).fetchone() is not None and check is None:
            detail = {"name": upload.name, "sha256": upload.sha256.hex(), "size": len(upload.content)}
            act(connection, actor, number, Order(Action.ATTACH, detail))


def content(connection: Connection, brand: str, number: int, attachment: int) -> Any:  # noqa: ANN401  a row
    """Return a file's name, media type and content. Raises `NotFoundError`."""
    query = {"brand": brand, "case": number, "id": attachment}
    row = connection.execute(SQL["attachment_content"], query).fetchone()
    if row is None:
        raise NotFoundError(f"no attachment {attachment}")
    return row


@dataclass(frozen=True, slots=True)
class _Change:
    """A locked case, what is to be done to it by whom, and the states before and after."""

    found: Any
    actor: Actor
    order: Order
    before: State
    after: State


def _begin(connection: Connection, actor: Actor, number: int, order: Order) -> _Change:
    """Lock a case and its alerts, and ask the state machine."""
    connection.execute(SQL["lock_alerts"], {"cases": [number]})
    found = connection.execute(SQL["lock_case"], {"brand": actor.brand, "case": number}).fetchone()
    if found is None:
        raise NotFoundError(f"no case {number}")
    if order.version is not None and order.version != found.version:
        raise CaseStateError("the case has changed since it was read", advice="Read what is new, then decide.")
    standing = standing_of(found, policy_of(connection, actor.brand))
    return _Change(found, actor, order, standing.state, follow(standing, order.action, actor))


def _changes(connection: Connection, change: "_Change") -> dict[str, object]:
    """Return the columns of the case that an action writes, besides its state."""
    found, actor, detail = change.found, change.actor, change.order.detail
    now = one(connection, SQL["now"]).at
    match change.order.action:
        case Action.TAKE:
            columns: dict[str, object] = {"owner": actor.login}
        case Action.ASSIGN:
            columns = {"owner": _known(connection, found.brand, str(detail.get("owner", "")))}
        case Action.SET_DEADLINE | Action.ASK_DEALER if isinstance(detail.get("deadline"), datetime):
            columns = {"deadline": detail["deadline"], "owner": found.owner or actor.login}
        case Action.CLOSE:
            columns = _closing(actor, _outcome(detail), change.after, now)
        case Action.CONFIRM:
            columns = {"outcome": found.proposed_outcome, "closed_by": actor.login, "closed_at": now}
        case _ if change.before in {State.CLOSED, State.PROPOSED} and change.after is State.INVESTIGATING:
            columns = dict(_CLEARED)
        case _:
            columns = {}
    return columns


def _closing(actor: Actor, outcome: Outcome, after: State, now: datetime) -> dict[str, object]:
    if after is State.PROPOSED:
        return {"proposed_outcome": outcome.value, "proposed_by": actor.login}
    return {"outcome": outcome.value, "closed_by": actor.login, "closed_at": now}


def _move_alerts(connection: Connection, change: _Change, outcome: object) -> None:
    """Let the alerts of a case follow it."""
    query = {"case": change.found.id, "login": change.actor.login, "outcome": outcome}
    if change.after is State.CLOSED and change.before is not State.CLOSED:
        connection.execute(SQL["close_alerts"], query)
        found = Outcome(str(outcome))
        confirmed = found is Outcome.CONFIRMED
        tell_engine(connection, change.found.brand, change.found.id, confirmed=confirmed, benign=found.benign)
    elif change.before is State.CLOSED and change.after in LIVE:
        connection.execute(SQL["reopen_alerts"], query)
    elif change.before is State.OPEN and change.after is not State.OPEN:
        connection.execute(SQL["take_alerts"], query)


def _outcome(detail: Mapping[str, Any]) -> Outcome:
    try:
        return Outcome(detail.get("outcome", ""))
    except ValueError as error:
        raise InvalidParameterError("outcome: not one of those known", advice="Choose one.") from error


def _known(connection: Connection, brand: str, login: str) -> str:
    query = {"brand": brand, "login": login, "roles": [Role.ANALYST.value, Role.MANAGER.value]}
    if connection.execute(SQL["account_exists"], query).fetchone() is None:
        raise InvalidParameterError("owner: no analyst or manager of that login", advice="Choose one.")
    return login


def set_policy(connection: Connection, brand: str, policy: Policy, by: str) -> None:
    """Let a brand work by another policy from now on; cases that are there keep their figures until they change."""
    connection.execute(SQL["insert_policy"], {"brand": brand, **policy.model_dump(), "by": by})
