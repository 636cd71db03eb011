"""Units bound to another dealer after they had moved on, or without a second approver."""

from collections.abc import Iterable
from typing import Final

from trace_service.detection.changes import Claim, Contribution
from trace_service.detection.network import Network
from trace_service.detection.observations import Binding, Movement, Observation, Sighting, Withdrawn
from trace_service.detection.settings import Settings

APPROVERS: Final = 2
_DOWNSTREAM_NATS: Final = 7.0
_ALONE_NATS: Final = 7.0
_THRESHOLD: Final = 6.9


def binding_nats(*, moved: bool, alone: bool) -> float:
    """Return what a change of goods that had moved on says, and one that fewer than two persons approved."""
    return _DOWNSTREAM_NATS * moved + _ALONE_NATS * alone


class RebindDetector:
    """Remembers the first thing that happened to each case after it left the brand."""

    wants: tuple[type, ...] = (Sighting, Movement, Binding, Withdrawn)

    def __init__(self, network: Network, settings: Settings) -> None:
        self.network, self.settings = network, settings
        self._downstream: dict[str, int] = {}
        self._bindings: dict[str, Binding] = {}

    def observe(self, observation: Observation, now: int) -> Iterable[Claim]:
        """Judge a binding when it comes; what a reader uploads late about the time before it counts then."""
        del now
        if isinstance(observation, Sighting | Movement):
            case = observation.goods.case
            received = isinstance(observation, Sighting) or (
                observation.kind == "receive" and observation.site_dealer is not None
            )
            if case is not None and received:
                known = self._downstream.get(case)
                self._downstream[case] = min(known, observation.occurred_at) if known else observation.occurred_at
        elif isinstance(observation, Binding):
            self._bindings[observation.key] = observation
            yield self._claim(observation)
        elif isinstance(observation, Withdrawn) and (binding := self._bindings.pop(observation.key, None)):
            yield Claim(
                key=f"rebind/{binding.key}", detector="rebind", kind="rebind", dealer=binding.from_dealer,
                nats=0.0, threshold=_THRESHOLD,
            )  # fmt: skip

    def close_day(self, now: int) -> Iterable[Claim]:
        """Time alone makes nobody guilty."""
        del now
        return ()

    def _claim(self, binding: Binding) -> Claim:
        moved = [
            case for case in binding.cases if self._downstream.get(case, binding.occurred_at) < binding.occurred_at
        ]
        alone = len(binding.approvers) < APPROVERS
        nats = binding_nats(moved=bool(moved), alone=alone)
        receiver = self.network.dealers.get(binding.to_dealer or "")
        return Claim(
            key=f"rebind/{binding.key}",
            detector="rebind",
            kind="rebind",
            dealer=binding.from_dealer,
            nats=nats if binding.cases else 0.0,
            threshold=_THRESHOLD,
            adcode=self.network.city_near(receiver.lat, receiver.lon) if receiver else None,
            contributions=tuple(
                Contribution(
                    case=case,
                    nats=round(nats / len(binding.cases), 3),
                    events=(binding.event,),
                    first_at=binding.occurred_at,
                    note="moved_before" if case in set(moved) else "no_second_approver",
                )
                for case in binding.cases
            ),
            parties=tuple(each for each in (binding.from_dealer, binding.to_dealer) if each),
            figures={
                "from": binding.from_dealer,
                "to": binding.to_dealer,
                "who": binding.actor,
                "approvers": list(binding.approvers),
                "cases": len(binding.cases),
                "moved_before": len(moved),
            },
        )
