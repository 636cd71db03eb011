"""The life of a case as a state machine: what may be done when, by whom, and what it leads to. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from trace_service.cases.errors import CaseStateError, SecondPersonError
from trace_service.domain.roles import Role
from trace_service.web.errors import RoleMissingError


class State(StrEnum):
    """Where a case stands."""

    OPEN = "open"
    INVESTIGATING = "investigating"
    AWAITING_DEALER = "awaiting_dealer"
    PROPOSED = "proposed"
    CLOSED = "closed"
    MERGED = "merged"


class Action(StrEnum):
    """What a person does with a case."""

    TAKE = "take"
    ASSIGN = "assign"
    SET_DEADLINE = "set_deadline"
    COMMENT = "comment"
    ATTACH = "attach"
    ASK_DEALER = "ask_dealer"
    RECORD_STATEMENT = "record_statement"
    ORDER_CHECK = "order_check"
    CANCEL_CHECK = "cancel_check"
    REPORT_CHECK = "report_check"
    CLOSE = "close"
    CONFIRM = "confirm"
    REJECT = "reject"
    REOPEN = "reopen"


class Outcome(StrEnum):
    """How a case ended, as a person decided."""

    CONFIRMED = "confirmed"
    TOURIST_OR_GIFT = "tourist_or_gift"
    E_COMMERCE = "e_commerce"
    DOCUMENTED_TRANSFER = "documented_transfer"
    LOCATION_ERROR = "location_error"
    SCANNER_OUTAGE = "scanner_outage"
    UNRESOLVED = "unresolved"

    @property
    def benign(self) -> bool:
        """Whether it says that such traffic is honest there, for a time."""
        return self in {Outcome.TOURIST_OR_GIFT, Outcome.E_COMMERCE}


RIGHTS: Final[Mapping[Action, Role]] = {
    **dict.fromkeys(Action, Role.ANALYST),
    Action.REPORT_CHECK: Role.INSPECTOR,
    Action.ASSIGN: Role.MANAGER,
    Action.CONFIRM: Role.MANAGER,
    Action.REOPEN: Role.MANAGER,
}
# What is done by saying so; the others come with what they are about, a file or a check, and by their own way.
SAID: Final = frozenset(Action) - {Action.ATTACH, Action.ORDER_CHECK, Action.CANCEL_CHECK, Action.REPORT_CHECK}
LIVE: Final = frozenset({State.OPEN, State.INVESTIGATING, State.AWAITING_DEALER, State.PROPOSED})
_WORKED: Final = frozenset({State.OPEN, State.INVESTIGATING, State.AWAITING_DEALER})
# Evidence that comes to a closed case opens it again: what it was closed on is no longer all there is.
_EVIDENCE: Final = frozenset({Action.ATTACH, Action.RECORD_STATEMENT, Action.REPORT_CHECK})


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, and for which brand."""

    brand: str
    login: str
    role: Role


@dataclass(frozen=True, slots=True)
class Standing:
    """What an action depends on: the state, who proposed to close, and whether closing takes a second person."""

    state: State
    proposed_by: str | None = None
    needs_second: bool = False


def follow(standing: Standing, action: Action, actor: Actor) -> State:
    """Return the state that an action leads to.

    Raises `RoleMissingError`, `CaseStateError`, and `SecondPersonError` where the first person is also the second.
    """
    if not actor.role.covers(RIGHTS[action]):
        raise RoleMissingError(f"{action} takes the role {RIGHTS[action]}", advice="Ask a manager for the role.")
    target = _target(standing, action)
    if target is None:
        raise CaseStateError(f"{action} cannot be done to a case that is {standing.state}", advice="Reload the page.")
    if action is Action.CONFIRM and actor.login == standing.proposed_by:
        raise SecondPersonError(
            "who proposed to close a case cannot confirm it", advice="Let another manager read the case and confirm."
        )
    return target


def _target(standing: Standing, action: Action) -> State | None:
    state = standing.state
    if state is State.MERGED:
        return None
    if action in _EVIDENCE:
        return {State.CLOSED: State.INVESTIGATING, State.PROPOSED: State.INVESTIGATING}.get(
            state, State.INVESTIGATING if action is Action.RECORD_STATEMENT else state
        )
    if action is Action.COMMENT:
        return state
    if action in {Action.ASSIGN, Action.SET_DEADLINE, Action.ORDER_CHECK, Action.CANCEL_CHECK}:
        return state if state in LIVE else None
    if action is Action.CLOSE and state in _WORKED:
        return State.PROPOSED if standing.needs_second else State.CLOSED
    moves = {
        (State.OPEN, Action.TAKE): State.INVESTIGATING,
        (State.INVESTIGATING, Action.TAKE): State.INVESTIGATING,
        (State.AWAITING_DEALER, Action.TAKE): State.AWAITING_DEALER,
        (State.OPEN, Action.ASK_DEALER): State.AWAITING_DEALER,
        (State.INVESTIGATING, Action.ASK_DEALER): State.AWAITING_DEALER,
        (State.PROPOSED, Action.CONFIRM): State.CLOSED,
        (State.PROPOSED, Action.REJECT): State.INVESTIGATING,
        (State.CLOSED, Action.REOPEN): State.INVESTIGATING,
    }
    return moves.get((state, action))


def allowed(standing: Standing, actor: Actor) -> frozenset[Action]:
    """Return what an actor may do now, for the page to offer nothing else."""
    return frozenset(
        action
        for action in Action
        if actor.role.covers(RIGHTS[action])
        and _target(standing, action) is not None
        and not (action is Action.CONFIRM and actor.login == standing.proposed_by)
    )
