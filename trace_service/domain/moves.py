"""Rules of what moves goods: packing, shipping, receiving, transfers, returns. The first that is broken counts."""

from dataclasses import replace
from typing import Final

from trace_service.domain.events import Refusal
from trace_service.domain.scene import CLOCK_TOLERANCE, Outcome, Scene, first
from trace_service.domain.states import Life, State, Statement, Transfer, is_single

_APPROVERS: Final = 2


def pack(scene: Scene) -> Outcome:
    """Put a unit into a parent."""
    event, own, state = scene.event, scene.own, scene.state
    # 1. A unit lies in another one, never in itself, a product or a lot.
    if event.parent is None or event.parent == event.unit or not is_single(event.parent):
        return Refusal.PARENT_INVALID
    # 2. The same label read twice is no news; what lies somewhere must be taken out first.
    if own.parent == event.parent:
        return None
    # 3. Neither the unit nor the parent may be under way, promised to somebody, or with somebody else.
    refusal = (
        scene.lifeless()
        or first((own.parent is not None, Refusal.ALREADY_PACKED), (state.moving, Refusal.ALREADY_SHIPPED))
        or _parent_unfit(scene, scene.look(event.parent))
        or first((not scene.with_holder(), Refusal.HELD_ELSEWHERE), (state.transfer, Refusal.TRANSFER_PENDING))
    )
    return refusal or replace(own, parent=event.parent, packed=scene.key)


def _parent_unfit(scene: Scene, parent: State) -> Refusal | None:
    if parent.said and parent.moving and scene.event.unit not in parent.path and parent.life is Life.ACTIVE:
        late = parent.said.since.moment + CLOCK_TOLERANCE < scene.event.occurred_at
        return Refusal.PARENT_SHIPPED if late else None
    return first(
        (scene.event.unit in parent.path, Refusal.PACKING_CYCLE),
        (parent.life is Life.UNKNOWN, Refusal.PARENT_INVALID),
        (parent.life is not Life.ACTIVE, Refusal.PARENT_ENDED),
        (not scene.with_holder(parent), Refusal.HELD_ELSEWHERE),
        (parent.transfer, Refusal.TRANSFER_PENDING),
    )


def unpack(scene: Scene) -> Outcome:
    """Take a unit out of its parent."""
    own, state = scene.own, scene.state
    refusal = scene.lifeless() or first(
        (own.parent is None, Refusal.NOT_PACKED),
        (scene.event.parent not in {None, own.parent}, Refusal.WRONG_PARENT),
        (state.moving, Refusal.ALREADY_SHIPPED),
        (not scene.with_holder(), Refusal.HELD_ELSEWHERE),
        (state.transfer, Refusal.TRANSFER_PENDING),
    )
    return refusal or scene.loosened()


def ship(scene: Scene) -> Outcome:
    """Send a unit to a dealer, who is entitled to it and to all inside from now on."""
    event, own, state = scene.event, scene.own, scene.state
    # 1. Somebody we know must be entitled.
    if event.dealer is None or event.shipment is None:
        return Refusal.UNKNOWN_DEALER
    # 2. What does not exist cannot go, and a child goes where its parent goes.
    if refusal := scene.lifeless() or first((own.parent, Refusal.INSIDE_PARENT)):
        return refusal
    # 3. What is under way, or lies with somebody else, cannot leave again; the same label read twice is no news. Who
    # sends on what is under way to him says that it arrived.
    if state.moving and state.entitlement:
        current = state.entitlement
        if (current.dealer, current.shipment) == (event.dealer, event.shipment):
            return None
        if (arrived := scene.came()) is None:
            return Refusal.ALREADY_SHIPPED
        scene = arrived
    # 4. What is promised, recalled or blocked stays.
    elsewhere = (not scene.with_holder(), Refusal.ALREADY_SHIPPED)
    refusal = first(elsewhere, (state.transfer, Refusal.TRANSFER_PENDING)) or scene.held()
    return refusal or replace(own, said=scene.sent(scene.entitle(event.dealer, event.shipment)))


def rebind(scene: Scene) -> Outcome:
    """Bind goods to another dealer by hand, wherever they are: the brand may, and two persons have to agree."""
    event, own, state = scene.event, scene.own, scene.state
    if event.dealer is None or event.shipment is None:
        return Refusal.UNKNOWN_DEALER
    current = state.entitlement
    refusal = scene.lifeless() or first(
        (own.parent, Refusal.INSIDE_PARENT),
        (current is None or current.dealer is None, Refusal.NOT_SHIPPED),
        (not scene.home or len(set(event.approvers)) < _APPROVERS, Refusal.NOT_AUTHORISED),
        (state.transfer, Refusal.TRANSFER_PENDING),
    )
    if refusal or state.said is None or (current is not None and current.dealer == event.dealer):
        return refusal
    bound = scene.entitle(event.dealer, event.shipment)
    return scene.held() or replace(own, said=replace(state.said, since=scene.key, entitlement=bound))


def void(scene: Scene) -> Outcome:
    """Take a shipment, a return or an approved transfer back: what held before it holds again."""
    event, own, said = scene.event, scene.own, scene.state.said
    refusal = first((scene.state.life.ended, Refusal.ENDED), (own.parent, Refusal.INSIDE_PARENT))
    if refusal or said is None or not said.moving:
        return refusal or Refusal.NOT_SHIPPED
    number = said.entitlement.shipment if said.entitlement else ""
    refusal = first(
        (event.shipment and event.shipment != number, Refusal.WRONG_SHIPMENT),
        (not (scene.home or scene.same_holder(said.site)), Refusal.NOT_AUTHORISED),
    )
    former = said.before.entitlement if said.before else None
    entitlement = scene.entitle(former.dealer, former.shipment) if former else scene.entitle(None, "")
    site = said.before.site if said.before else said.site
    return refusal or replace(own, said=Statement(scene.key, site, moving=False, entitlement=entitlement))


def receive(scene: Scene) -> Outcome:
    """Take a unit in; at a site of the brand itself nobody is entitled to it until it leaves again."""
    state = scene.state
    if refusal := scene.lifeless(sold=True):
        return refusal
    known = state.said is not None and scene.with_holder()
    if state.life is Life.SOLD and not (scene.home or known):
        return Refusal.ALREADY_SOLD
    # What nobody sent cannot arrive, except from the holder's own other sites, or back home.
    if not (state.moving or scene.home or known):
        return Refusal.NOT_SHIPPED
    entitlement = state.entitlement
    if scene.home and entitlement and entitlement.dealer:
        entitlement = scene.entitle(None, "")
    own = replace(scene.loosened(), said=scene.arrived(entitlement), transfer=own_transfer(scene))
    return replace(own, life=Life.ACTIVE, lived=scene.event.source) if state.life is Life.SOLD else own


def own_transfer(scene: Scene) -> Transfer | None:
    """Return the transfer that goes on waiting when a unit is received: only where its holder stays the same."""
    return scene.own.transfer if scene.with_holder() else None


def transfer_request(scene: Scene) -> Outcome:
    """Ask to hand a unit to another dealer; it is bound only once the brand approves."""
    event, own, state = scene.event, scene.own, scene.state
    if event.dealer is None or event.shipment is None:
        return Refusal.UNKNOWN_DEALER
    holder = scene.sites[state.said.site].dealer if state.said else None
    refusal = scene.lifeless() or first(
        (own.parent, Refusal.INSIDE_PARENT),
        (state.moving, Refusal.ALREADY_SHIPPED),
        (holder is None, Refusal.NOT_RECEIVED),
        (not scene.with_holder(), Refusal.HELD_ELSEWHERE),
        (event.dealer == holder, Refusal.NOT_AUTHORISED),
    )
    if refusal:
        return refusal
    if state.transfer:
        same = state.transfer[:2] == (event.dealer, event.shipment)
        return None if same else Refusal.TRANSFER_PENDING
    return scene.held() or replace(own, transfer=Transfer(event.dealer, event.shipment, event.source))


def transfer_approve(scene: Scene) -> Outcome:
    """Approve a transfer for the brand: the other dealer is entitled from now on, and the goods are under way."""
    event, own, state = scene.event, scene.own, scene.state
    if state.life.ended:
        return Refusal.ENDED
    wanted = own.transfer
    if wanted is None or state.said is None or event.shipment not in {None, wanted.number}:
        return Refusal.TRANSFER_UNKNOWN
    if not scene.home:
        return Refusal.NOT_AUTHORISED
    if refusal := scene.held():
        return refusal
    sent = scene.sent(scene.entitle(wanted.dealer, wanted.number))
    return replace(own, transfer=None, said=replace(sent, site=state.said.site))


def transfer_reject(scene: Scene) -> Outcome:
    """Refuse a transfer, or take the request back."""
    wanted = scene.own.transfer
    if wanted is None or scene.event.shipment not in {None, wanted.number}:
        return Refusal.TRANSFER_UNKNOWN
    if not (scene.home or scene.with_holder()):
        return Refusal.NOT_AUTHORISED
    return replace(scene.own, transfer=None)


def give_back(scene: Scene) -> Outcome:
    """Take a sold item back from its buyer, or send goods back to the brand."""
    own, state = scene.own, scene.state
    if state.life is Life.SOLD:
        return receive(scene)
    if refusal := scene.lifeless() or first((own.parent, Refusal.INSIDE_PARENT)):
        return refusal
    if state.moving:
        if state.entitlement and state.entitlement.dealer is None:
            return None
        if (arrived := scene.came()) is None:
            return Refusal.ALREADY_SHIPPED
        scene, state = arrived, arrived.state
    refusal = first(
        (state.said is None or scene.sites[state.said.site].home, Refusal.NOT_SHIPPED),
        (not scene.with_holder(), Refusal.HELD_ELSEWHERE),
        (state.transfer, Refusal.TRANSFER_PENDING),
    )
    return refusal or replace(own, said=scene.sent(scene.entitle(None, scene.event.shipment or "")))
