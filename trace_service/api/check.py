"""Order interception: shops and ERPs ask before they order or sell."""

import asyncio
import threading
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, Self

from fastapi import APIRouter, Depends, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from geofence.coordinates import Crs
from geofence.evidence import Platform
from trace_service.channel.entitlement import Act, Entitlements, Position, Question, Ruling
from trace_service.channel.versions import Channel
from trace_service.web.context import Console, ConsoleOf
from trace_service.web.errors import BusyError
from trace_service.web.tokens import Partner, require_scope

router = APIRouter(tags=["check"])
LARGEST_BATCH: Final = 1000
_NAME: Final = r"^[A-Za-z0-9_-]{1,64}$"
PartnerOf = Annotated[Partner, Depends(require_scope("check"))]


class Spot(BaseModel):
    """A position in degrees; without `accuracy_m` (metres) it is taken as exact."""

    model_config = ConfigDict(extra="forbid")

    lon: Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)]
    lat: Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)]
    accuracy_m: Annotated[float | None, Field(ge=0, le=1_000_000, allow_inf_nan=False)] = None
    platform: Platform = Platform.ANDROID
    crs: Crs = Crs.WGS84


class CheckRequest(BaseModel):
    """Who asks: a dealer, or a site of it; `at` is now by default, `known_at` asks what was known by then."""

    model_config = ConfigDict(extra="forbid")

    product: Annotated[str, Field(pattern=r"^\d{14}$", description="GTIN-14")]
    dealer: Annotated[str | None, Field(pattern=_NAME)] = None
    site: Annotated[str | None, Field(pattern=_NAME)] = None
    position: Spot | None = None
    channel: Annotated[str, Field(pattern=_NAME)] = "retail"
    at: AwareDatetime | None = None

    @model_validator(mode="after")
    def _names_someone(self) -> Self:
        if self.dealer is None and self.site is None:
            raise ValueError("name a dealer or a site")
        return self

    def question(self, act: Act, now: datetime) -> Question:
        """Return it as the rules take it."""
        where = self.position
        position = Position(**where.model_dump()) if where else None
        return Question(act, self.product, self.at or now, self.dealer, self.site, position, self.channel)


class SingleCheck(CheckRequest):
    """One question."""

    known_at: AwareDatetime | None = None


class BatchCheck(CheckRequest):
    """One question of several."""

    act: Literal["order", "sale"]


class Batch(BaseModel):
    """Up to 1,000 questions; the answers come in their order."""

    model_config = ConfigDict(extra="forbid")

    questions: Annotated[list[BatchCheck], Field(min_length=1, max_length=LARGEST_BATCH)]


class ReasonAnswer(BaseModel):
    """A coded reason with its parameters."""

    code: str
    parameters: dict[str, Any]


class CheckAnswer(BaseModel):
    """The verdict, why, who may sell there, and which contract and territory were used."""

    model_config = ConfigDict(from_attributes=True)

    verdict: Literal["allowed", "not_allowed", "unknown"]
    reasons: list[ReasonAnswer]
    dealer: str | None
    path: list[str]
    contract: str | None
    contract_version: int | None
    territory_version: str | None
    county: str | None
    p_inside: float | None
    signed_distance_m: float | None
    legal_dealers: list[str]
    map_version: str
    at: datetime
    known_at: datetime


class BatchAnswer(BaseModel):
    """The answers, in the order of the questions."""

    answers: list[CheckAnswer]


class Rulebook:
    """The entitlements of every brand that was asked for, over the shelf of channels; answers come from threads."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._turn = threading.Lock()
        self._present: dict[str, tuple[Channel, Entitlements]] = {}

    def load(self, brand: str, known_at: datetime | None) -> Entitlements:
        """Return the entitlements as of now, or as known at a moment. Raises BusyError where no map is installed."""
        atoms = self._console.places.atoms
        if atoms is None:
            raise BusyError("no map is installed", advice="Install the map package on the server.")
        channel = self._console.channels.known(brand, known_at)
        if known_at is not None:
            return Entitlements(channel, atoms)
        with self._turn:
            held = self._present.get(brand)
            if held is None or held[0] is not channel:
                held = self._present[brand] = (channel, Entitlements(channel, atoms))
        return held[1]


def rulebook_of(request: Request, console: ConsoleOf) -> Rulebook:
    """Return the application's rulebook."""
    state = request.app.state
    if not hasattr(state, "rulebook"):
        state.rulebook = Rulebook(console)
    rulebook: Rulebook = state.rulebook
    return rulebook


RulebookOf = Annotated[Rulebook, Depends(rulebook_of)]


@router.post("/check/order")
async def check_order(partner: PartnerOf, rulebook: RulebookOf, question: SingleCheck) -> CheckAnswer:
    """Ask whether a dealer may order a product; without a place its contracts alone decide."""
    return await _answer(rulebook, partner, question, "order")


@router.post("/check/sale")
async def check_sale(partner: PartnerOf, rulebook: RulebookOf, question: SingleCheck) -> CheckAnswer:
    """Ask whether a dealer may sell a product at a place; without a place the answer is `unknown`."""
    return await _answer(rulebook, partner, question, "sale")


@router.post("/check/batch")
async def check_batch(partner: PartnerOf, rulebook: RulebookOf, batch: Batch) -> BatchAnswer:
    """Ask up to 1,000 questions at once."""
    now = datetime.now(UTC)

    def work() -> list[CheckAnswer]:
        book = rulebook.load(partner.brand, None)
        questions = [each.question(each.act, now) for each in batch.questions]
        return [_shown(book.answer(each), each.at, now) for each in questions]

    return BatchAnswer(answers=await asyncio.to_thread(work))


async def _answer(rulebook: Rulebook, partner: Partner, asked: SingleCheck, act: Act) -> CheckAnswer:
    now = datetime.now(UTC)
    question = asked.question(act, now)

    def work() -> CheckAnswer:
        book = rulebook.load(partner.brand, asked.known_at)
        return _shown(book.answer(question), question.at, asked.known_at or now)

    return await asyncio.to_thread(work)


def _shown(ruling: Ruling, at: datetime, known_at: datetime) -> CheckAnswer:
    return CheckAnswer(
        **{name: getattr(ruling, name) for name in Ruling.__dataclass_fields__ if name != "reasons"},
        reasons=[ReasonAnswer(code=each.code, parameters=each.parameters) for each in ruling.reasons],
        at=at,
        known_at=known_at,
    )
