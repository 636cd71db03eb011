"""Types of the parameters that requests carry."""

from datetime import UTC, datetime
from typing import Annotated, Final, TypeAlias
from uuid import UUID

from fastapi import Depends, Form, Path, Query

from trace_service.web.models import AlertState, DecisionCode, Outcome, ProposalState

_LARGEST: Final = 2**63 - 1
_LARGEST_PAGE: Final = 10_000
_LATEST_MS: Final = 253_402_300_799_000

Number: TypeAlias = Annotated[int, Path(ge=1, le=_LARGEST)]
PageNumber: TypeAlias = Annotated[int, Query(ge=0, le=_LARGEST_PAGE)]
Before: TypeAlias = Annotated[int | None, Query(ge=1, le=_LARGEST)]
After: TypeAlias = Annotated[int, Query(ge=0, le=_LARGEST)]
SinceMs: TypeAlias = Annotated[int, Query(ge=0, le=_LATEST_MS)]
DeviceId: TypeAlias = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Boot: TypeAlias = Annotated[UUID, Path()]
Sequence: TypeAlias = Annotated[int, Path(ge=0, le=_LARGEST)]
AlertFilter: TypeAlias = Annotated[AlertState, Query()]
ProposalFilter: TypeAlias = Annotated[ProposalState, Query()]
OptionalAlertFilter: TypeAlias = Annotated[AlertState | None, Query()]
OptionalProposalFilter: TypeAlias = Annotated[ProposalState | None, Query()]
SiteId: TypeAlias = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Gtin: TypeAlias = Annotated[str, Path(pattern=r"^[0-9]{14}$")]
StockAfter: TypeAlias = Annotated[str | None, Query(pattern=r"^[A-Za-z0-9_-]{1,64}/[0-9]{14}$")]
StockLimit: TypeAlias = Annotated[int, Query(ge=1, le=500)]
OptionalSite: TypeAlias = Annotated[str | None, Query(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
LeadAfter: TypeAlias = Annotated[
    str | None, Query(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?\+00:00/01/\d{14}/21/[^\x00\s]{1,60}$")
]
CountedField: TypeAlias = Annotated[int, Form(ge=0, le=1_000_000)]
OutcomeField: TypeAlias = Annotated[Outcome, Form()]
QuantityField: TypeAlias = Annotated[int | None, Form(ge=1, le=1_000_000)]
CodeField: TypeAlias = Annotated[DecisionCode | None, Form()]
NoteField: TypeAlias = Annotated[str, Form(max_length=500, pattern=r"^[^\x00]*$")]
NextPath: TypeAlias = Annotated[str, Query(alias="next", max_length=500)]


def _seen(after: After, since: SinceMs) -> tuple[int, datetime]:
    return after, datetime.fromtimestamp(since / 1000, UTC)


Seen: TypeAlias = Annotated[tuple[int, datetime], Depends(_seen)]
