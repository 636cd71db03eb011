"""Rules of what a unit is: commissioned, sold, seen, recalled, blocked, ended."""

from dataclasses import replace

from trace_service.domain.events import Refusal
from trace_service.domain.scene import CLOCK_TOLERANCE, Outcome, Scene
from trace_service.domain.states import Life, is_single


def commission(scene: Scene) -> Outcome:
    """Make a printed code a real unit; once, though its label may be read twice on the line."""
    own = scene.own
    if own.life.ended:
        return Refusal.ENDED
    if own.commissioned_at is not None:
        return None if scene.same_holder(own.commissioned_at) else Refusal.ALREADY_COMMISSIONED
    if own.life is Life.SOLD:
        return Refusal.ALREADY_COMMISSIONED
    lived = own.lived or scene.event.source
    return replace(own, life=Life.ACTIVE, lived=lived, commissioned_at=scene.event.site)


def sell(scene: Scene) -> Outcome:
    """Sell a unit to a consumer, which takes it out of its case."""
    own, state = scene.own, scene.state
    if own.life is Life.SOLD and own.sold and scene.with_holder():
        near = scene.event.occurred_at - own.sold.moment <= CLOCK_TOLERANCE
        return None if near else Refusal.ALREADY_SOLD
    if refusal := scene.lifeless():
        return refusal
    if refusal := _not_here(scene):
        return refusal
    if state.transfer:
        return Refusal.TRANSFER_PENDING
    if refusal := scene.held():
        return refusal
    said = scene.arrived(state.entitlement)
    return replace(scene.loosened(), life=Life.SOLD, lived=scene.event.source, sold=scene.key, said=said)


def _not_here(scene: Scene) -> Refusal | None:
    """Return why the seller cannot have the unit; selling what one is entitled to says that it arrived."""
    state = scene.state
    if state.moving:
        dealer = scene.sites[scene.event.site].dealer
        entitled = dealer is not None and state.entitlement is not None and state.entitlement.dealer == dealer
        return None if entitled else Refusal.NOT_RECEIVED
    if state.said is None:
        return None if scene.home else Refusal.NOT_SHIPPED
    return None if scene.with_holder() else Refusal.HELD_ELSEWHERE


def sight(_: Scene) -> Outcome:
    """See a unit: a consumer's scan, an inspection."""
    return None


def recall(scene: Scene) -> Outcome:
    """Call a unit, a lot or a product back; the brand alone may."""
    if not scene.home:
        return Refusal.NOT_AUTHORISED
    if scene.state.life.ended:
        return Refusal.ENDED
    return None if scene.own.recalled else replace(scene.own, recalled=scene.hold())


def block(scene: Scene) -> Outcome:
    """Forbid that a unit, a lot or a product be shipped or sold: the brand, or who holds the unit."""
    if scene.state.life.ended:
        return Refusal.ENDED
    if not _may_hold(scene):
        return Refusal.NOT_AUTHORISED
    return None if scene.own.blocked else replace(scene.own, blocked=scene.hold())


def unblock(scene: Scene) -> Outcome:
    """Lift a block: the brand, or who put it there."""
    blocked = scene.own.blocked
    if blocked is None:
        return Refusal.NOT_BLOCKED
    if not (scene.home or scene.same_holder(blocked.site)):
        return Refusal.NOT_AUTHORISED
    return replace(scene.own, blocked=None)


def _may_hold(scene: Scene) -> bool:
    if scene.home:
        return True
    return is_single(scene.event.unit) and scene.state.said is not None and scene.with_holder()


def decommission(scene: Scene) -> Outcome:
    """Take a code out of use."""
    if scene.own.life is Life.DECOMMISSIONED:
        return None
    if scene.state.moving:
        return Refusal.ALREADY_SHIPPED
    return _end(scene, Life.DECOMMISSIONED)


def destroy(scene: Scene) -> Outcome:
    """Destroy a unit with all that lies in it, wherever it is, also what was decommissioned before."""
    if scene.own.life is Life.DESTROYED:
        return None
    return _end(scene, Life.DESTROYED)


def _end(scene: Scene, life: Life) -> Outcome:
    own, state = scene.own, scene.state
    if state.life is Life.UNKNOWN:
        return Refusal.NOT_COMMISSIONED
    if state.life is Life.DESTROYED or (state.life is Life.DECOMMISSIONED and life is Life.DECOMMISSIONED):
        return Refusal.ENDED
    if own.parent is not None:
        return Refusal.INSIDE_PARENT
    if not (state.moving or scene.home or scene.with_holder()):
        return Refusal.HELD_ELSEWHERE
    return replace(own, life=life, lived=scene.event.source)
