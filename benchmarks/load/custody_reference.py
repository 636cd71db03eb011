"""The rules of custody once more, naively: every event in order, and what holds for a container copied to all inside.

Written apart from the real rules, to be held against them. It knows no inheritance, no increments and no time travel:
for another moment or another set of events it starts again from nothing.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from benchmarks.load.custody_things import Spot, Thing, first
from trace_service.domain.events import Event, Site, Source

_MINUTES: Final = timedelta(minutes=10)


class Reference:
    """A world that events happen to."""

    def __init__(self, sites: Mapping[str, Site], contents: Mapping[str, Collection[str]]) -> None:
        self.sites = sites
        self.contents = contents
        self.things: dict[str, Thing] = {}
        self.lots: dict[str, set[str]] = {}
        self.refused: dict[Source, str] = {}
        self.outcomes: dict[Source, str] = {}
        self.sent: dict[int, datetime] = {}
        self.count = 0
        self.home = False

    def play(self, events: Iterable[Event], until: datetime | None = None) -> "Reference":
        """Let a set of events happen, in order, up to and including a moment."""
        given = list(events)
        void = self._corrections(given)
        for event in given:
            spoken = event.step not in {"error_declaration", "inspecting", "consumer_scanning"}
            if spoken and "/21/" in event.unit and event.verified:
                self.thing(event.unit).life = "active"
            if event.lot and event.step != "error_declaration":
                self.lots.setdefault(event.unit, set()).add(event.lot)
        rest = [event for event in given if event.step != "error_declaration" and event.source not in void]
        for event in sorted(rest, key=lambda e: (e.occurred_at, e.step != "commissioning", e.source)):
            if until is None or event.occurred_at <= until:
                self.count += 1
                outcome = self._happen(event)
                self.outcomes[event.source] = outcome or "accepted"
                if outcome and outcome != "no news":
                    self.refused[event.source] = outcome
        return self

    def _corrections(self, given: list[Event]) -> set[Source]:
        by_source = {event.source: event for event in given}
        void = set()
        for event in given:
            target = by_source.get(event.corrects) if event.corrects else None
            if target and target.unit == event.unit and target.step != "error_declaration":
                void.add(target.source)
                self.outcomes[event.source] = "accepted"
            elif event.step == "error_declaration":
                self.refused[event.source] = self.outcomes[event.source] = "corrects_nothing"
        return void

    def thing(self, name: str) -> Thing:
        """Return a thing; what nobody spoke of is a new logistic unit, product or lot, or an unknown item."""
        return self.things.setdefault(name, Thing(life="unknown" if "/21/" in name else "active"))

    def above(self, name: str) -> list[str]:
        """Return the containers around a unit, the nearest first."""
        place = self.thing(name).parent
        return [place, *self.above(place)] if place else []

    def below(self, name: str) -> list[str]:
        """Return everything inside a unit."""
        return [each for each in list(self.things) if name in self.above(each)]

    def life(self, name: str) -> str:
        """Return whether a unit is alive, for itself or by what it lies in."""
        life = self.thing(name).life
        for each in self.above(name):
            if self.thing(each).life == "destroyed" or (self.thing(each).life == "sold" and life == "active"):
                life = self.thing(each).life
        return life

    def holds(self, name: str, *, with_classes: bool = True) -> tuple[str | None, tuple[str, str] | None]:
        """Return the recall and the block that a unit is under."""
        names = [name, *self.above(name)]
        if with_classes and "/21/" in name:
            names += [name.partition("/21/")[0], *sorted(self.lots.get(name, ()))]
        recalls = [each.recall for each in map(self.thing, names) if each.recall is not None]
        blocks = [each.block for each in map(self.thing, names) if each.block is not None]
        return next(iter(recalls), None), next(iter(blocks), None)

    def transfer(self, name: str) -> tuple[str, str] | None:
        """Return the transfer that waits for a unit or for what it lies in."""
        waiting = [self.thing(each).transfer for each in [name, *self.above(name)]]
        return next((each for each in waiting if each), None)

    def _say(self, name: str, spot: Spot) -> None:
        for each in [name, *self.below(name)]:
            self.thing(each).spot = spot

    def _take_out(self, name: str) -> None:
        thing = self.thing(name)
        thing.recall, thing.block = self.holds(name, with_classes=False)
        thing.parent = None

    def _near(self, one: str, other: str) -> bool:
        return one == other or self.sites[one].dealer == self.sites[other].dealer

    def _here(self, name: str, site: str) -> bool:
        spot = self.thing(name).spot
        return spot is None or self._near(spot[1], site)

    def _dead(self, name: str) -> str | None:
        words = {"unknown": "not_commissioned", "sold": "already_sold", "decommissioned": "ended", "destroyed": "ended"}
        return words.get(self.life(name))

    def _kept(self, name: str) -> str | None:
        recall, block = self.holds(name)
        if recall is not None:
            return "recalled"
        if block is not None:
            return "blocked"
        inside = [self.thing(each) for each in [*self.below(name), *self.contents.get(name, ())]]
        if any(each.recall is not None for each in inside):
            return "recalled"
        return "blocked" if any(each.block is not None for each in inside) else None

    def _happen(self, event: Event) -> str | None:
        single = event.unit.startswith("/00/") or "/21/" in event.unit
        if event.site not in self.sites:
            return "unknown_site"
        if not single and event.step not in {"recalling", "holding", "unblocking"}:
            return "code_not_accepted"
        if event.step in {"inspecting", "consumer_scanning"}:
            return "no news"
        doing = getattr(self, "_" + event.step.name.lower())
        self.home = self.sites[event.site].home
        answer: str | None = doing(event, self.thing(event.unit))
        return answer

    def _commission(self, event: Event, thing: Thing) -> str | None:
        known = thing.commissioned
        problem = first(
            (thing.life in {"decommissioned", "destroyed"}, "ended"),
            (known and self._near(known, event.site), "no news"),
            (known or thing.life == "sold", "already_commissioned"),
        )
        if not problem:
            thing.life, thing.commissioned = "active", event.site
        return problem

    def _pack(self, event: Event, thing: Thing) -> str | None:
        name = event.parent
        if name is None or name == event.unit or not (name.startswith("/00/") or "/21/" in name):
            return "parent_invalid"
        if thing.parent == name:
            return "no news"
        parent = self.thing(name)
        problem = self._dead(event.unit) or first(
            (thing.parent, "already_packed"),
            (thing.moving, "already_shipped"),
            (event.unit in self.above(name), "packing_cycle"),
            (self.life(name) == "unknown", "parent_invalid"),
            (self.life(name) != "active", "parent_ended"),
            (parent.moving and self.sent[parent.number] + _MINUTES < event.occurred_at, "parent_shipped"),
            (not parent.moving and not self._here(name, event.site), "held_elsewhere"),
            (not parent.moving and self.transfer(name), "transfer_pending"),
            (not self._here(event.unit, event.site), "held_elsewhere"),
            (self.transfer(event.unit), "transfer_pending"),
        )
        if problem:
            return problem
        thing.parent = name
        for each in [event.unit, *self.below(event.unit)]:
            spot = self.thing(each).spot
            if parent.spot and (spot is None or spot[0] < parent.spot[0]):
                self.thing(each).spot = parent.spot
        return None

    def _unpack(self, event: Event, thing: Thing) -> str | None:
        problem = self._dead(event.unit) or first(
            (thing.parent is None, "not_packed"),
            (event.parent and event.parent != thing.parent, "wrong_parent"),
            (thing.moving, "already_shipped"),
            (not self._here(event.unit, event.site), "held_elsewhere"),
            (self.transfer(event.unit), "transfer_pending"),
        )
        if not problem:
            self._take_out(event.unit)
        return problem

    def _send(self, event: Event, thing: Thing, site: str, to: tuple[str | None, str]) -> None:
        thing.before, self.sent[self.count] = thing.spot, event.occurred_at
        self._say(event.unit, (self.count, site, True, *to))

    def _ship(self, event: Event, thing: Thing) -> str | None:
        if not event.dealer or event.shipment is None:
            return "unknown_dealer"
        again = thing.spot is not None and thing.spot[3:] == (event.dealer, event.shipment)
        problem = self._dead(event.unit) or first(
            (thing.parent, "inside_parent"),
            (thing.moving and again, "no news"),
            (
                not self._came(event, thing) and (thing.moving or not self._here(event.unit, event.site)),
                "already_shipped",
            ),
            (self.transfer(event.unit), "transfer_pending"),
        )
        problem = problem or self._kept(event.unit)
        if not problem:
            self._arrive(event, thing)
            self._send(event, thing, event.site, (event.dealer, event.shipment))
        return problem

    def _came(self, event: Event, thing: Thing) -> bool:
        """Whether it is under way to the very dealer at whose site this happens."""
        dealer = self.sites[event.site].dealer
        return thing.spot is not None and thing.moving and dealer is not None and thing.spot[3] == dealer

    def _arrive(self, event: Event, thing: Thing) -> None:
        if thing.spot is not None and self._came(event, thing):
            self._say(event.unit, (self.count, event.site, False, *thing.spot[3:]))

    def _rebind(self, event: Event, thing: Thing) -> str | None:
        if not event.dealer or event.shipment is None:
            return "unknown_dealer"
        problem = self._dead(event.unit) or first(
            (thing.parent, "inside_parent"),
            (thing.spot is None or thing.spot[3] is None, "not_shipped"),
            (not self.home or len(set(event.approvers)) < 2, "not_authorised"),  # noqa: PLR2004  two persons
            (self.transfer(event.unit), "transfer_pending"),
            (thing.spot and thing.spot[3] == event.dealer, "no news"),
        )
        problem = problem or self._kept(event.unit)
        if thing.spot and not problem:
            self.sent[self.count] = event.occurred_at
            self._say(event.unit, (self.count, *thing.spot[1:3], event.dealer, event.shipment))
        return problem

    def _void(self, event: Event, thing: Thing) -> str | None:
        problem = first(
            (self.life(event.unit) in {"decommissioned", "destroyed"}, "ended"),
            (thing.parent, "inside_parent"),
            (not thing.moving, "not_shipped"),
            (thing.spot and event.shipment and event.shipment != thing.spot[4], "wrong_shipment"),
            (thing.spot and not self.home and not self._near(thing.spot[1], event.site), "not_authorised"),
        )
        if thing.spot and not problem:
            former = thing.before
            entitled = former[3:] if former and former[4] is not None else (None, "")
            self._say(event.unit, (self.count, former[1] if former else thing.spot[1], False, *entitled))
        return problem

    def _receive(self, event: Event, thing: Thing) -> str | None:
        dead = self._dead(event.unit)
        if dead and dead != "already_sold":
            return dead
        known = thing.spot is not None and self._here(event.unit, event.site)
        allowed = self.home or known
        if problem := first((dead and not allowed, "already_sold"), (not (allowed or thing.moving), "not_shipped")):
            return problem
        entitled = thing.spot[3:] if thing.spot else (None, None)
        if self.home and entitled[0]:
            entitled = (None, "")
        thing.transfer = thing.transfer if self._here(event.unit, event.site) else None
        thing.life = "active" if dead else thing.life
        self._take_out(event.unit)
        self._say(event.unit, (self.count, event.site, False, *entitled))
        return None

    def _transfer_request(self, event: Event, thing: Thing) -> str | None:
        if not event.dealer or event.shipment is None:
            return "unknown_dealer"
        holder = self.sites[thing.spot[1]].dealer if thing.spot else None
        problem = self._dead(event.unit) or first(
            (thing.parent, "inside_parent"),
            (thing.moving, "already_shipped"),
            (holder is None, "not_received"),
            (not self._here(event.unit, event.site), "held_elsewhere"),
            (holder == event.dealer, "not_authorised"),
            (thing.transfer == (event.dealer, event.shipment), "no news"),
            (thing.transfer, "transfer_pending"),
        )
        problem = problem or self._kept(event.unit)
        if not problem:
            thing.transfer = (event.dealer, event.shipment)
        return problem

    def _transfer_approve(self, event: Event, thing: Thing) -> str | None:
        wanted = thing.transfer
        problem = first(
            (self.life(event.unit) in {"decommissioned", "destroyed"}, "ended"),
            (not wanted or not thing.spot or event.shipment not in {None, wanted[1]}, "transfer_unknown"),
            (not self.home, "not_authorised"),
        )
        problem = problem or self._kept(event.unit)
        if wanted and thing.spot and not problem:
            thing.transfer = None
            self._send(event, thing, thing.spot[1], wanted)
        return problem

    def _transfer_reject(self, event: Event, thing: Thing) -> str | None:
        problem = first(
            (not thing.transfer or event.shipment not in {None, thing.transfer[1]}, "transfer_unknown"),
            (not self.home and not self._here(event.unit, event.site), "not_authorised"),
        )
        thing.transfer = thing.transfer if problem else None
        return problem

    def _return(self, event: Event, thing: Thing) -> str | None:
        if self.life(event.unit) == "sold":
            return self._receive(event, thing)
        came = self._came(event, thing)
        going_back = thing.spot is not None and thing.spot[3] is None and thing.spot[4] is not None
        problem = self._dead(event.unit) or first(
            (thing.parent, "inside_parent"),
            (thing.moving and going_back, "no news"),
            (thing.moving and not came, "already_shipped"),
            (not came and (not thing.spot or self.sites[thing.spot[1]].home), "not_shipped"),
            (not came and not self._here(event.unit, event.site), "held_elsewhere"),
            (self.transfer(event.unit), "transfer_pending"),
        )
        if not problem:
            self._arrive(event, thing)
            self._send(event, thing, event.site, (None, event.shipment or ""))
        return problem

    def _sell(self, event: Event, thing: Thing) -> str | None:
        if thing.life == "sold" and thing.sold and self._here(event.unit, event.site):
            return "no news" if event.occurred_at - thing.sold <= _MINUTES else "already_sold"
        seller = self.sites[event.site].dealer
        foreign = thing.spot is not None and (seller is None or seller != thing.spot[3])
        problem = self._dead(event.unit) or first(
            (thing.spot is None and not self.home, "not_shipped"),
            (thing.moving and foreign, "not_received"),
            (not thing.moving and not self._here(event.unit, event.site), "held_elsewhere"),
            (self.transfer(event.unit), "transfer_pending"),
        )
        problem = problem or self._kept(event.unit)
        if not problem:
            entitled = thing.spot[3:] if thing.spot else (None, None)
            self._take_out(event.unit)
            thing.life, thing.sold = "sold", event.occurred_at
            self._say(event.unit, (self.count, event.site, False, *entitled))
        return problem

    def _recall(self, event: Event, thing: Thing) -> str | None:
        problem = first(
            (not self.home, "not_authorised"),
            (self.life(event.unit) in {"decommissioned", "destroyed"}, "ended"),
            (thing.recall is not None, "no news"),
        )
        thing.recall = thing.recall if problem else event.reason or ""
        return problem

    def _block(self, event: Event, thing: Thing) -> str | None:
        single = event.unit.startswith("/00/") or "/21/" in event.unit
        held = single and thing.spot and self._here(event.unit, event.site)
        problem = first(
            (self.life(event.unit) in {"decommissioned", "destroyed"}, "ended"),
            (not self.home and not held, "not_authorised"),
            (thing.block is not None, "no news"),
        )
        thing.block = thing.block if problem else (event.reason or "", event.site)
        return problem

    def _unblock(self, event: Event, thing: Thing) -> str | None:
        near = thing.block is not None and self._near(thing.block[1], event.site)
        problem = first((thing.block is None, "not_blocked"), (not self.home and not near, "not_authorised"))
        thing.block = thing.block if problem else None
        return problem

    def _decommission(self, event: Event, thing: Thing) -> str | None:
        done = first((thing.life == "decommissioned", "no news"), (thing.moving, "already_shipped"))
        return done or self._finish(event, thing, "decommissioned")

    def _destroy(self, event: Event, thing: Thing) -> str | None:
        return "no news" if thing.life == "destroyed" else self._finish(event, thing, "destroyed")

    def _finish(self, event: Event, thing: Thing, life: str) -> str | None:
        problem = first(
            (self.life(event.unit) == "unknown", "not_commissioned"),
            (self.life(event.unit) == "destroyed", "ended"),
            (thing.parent, "inside_parent"),
            (not (self.home or thing.moving or self._here(event.unit, event.site)), "held_elsewhere"),
        )
        thing.life = thing.life if problem else life
        return problem


def outcome_of(reference: Reference, unit: str) -> tuple[object, ...]:
    """Return what the reference says of a unit now: life, path, under way, site, dealer, number, transfer, holds."""
    spot = reference.thing(unit).spot
    recall, block = reference.holds(unit)
    place = (spot[2], spot[1], spot[3], spot[4]) if spot else (False, None, None, None)
    path = tuple(reference.above(unit))
    return (reference.life(unit), path, *place, reference.transfer(unit), recall is not None, block is not None)
