"""The camera above a shelf: looks by itself at an interval, and reports facings that changed, and a heartbeat."""

import threading
import time
from collections.abc import Sequence
from typing import Final

import structlog

from contracts.errors import ConfigurationError, OutboxError, OutboxFullError
from contracts.messages import Facings, Stock, encode_event
from contracts.topics import Kind
from edge.outbox import Draft, Outbox
from edge.outbox.outbox import now_ms
from edge.shelf.facings import Facing, Image, Seen, Share, ShelfCamera, shares
from edge.shelf.pictures import Pictures

HEARTBEAT_SECONDS: Final = 30.0
BLIND_SECONDS: Final = 60.0
_BLIND_LOOKS: Final = 3
"""After so many seconds and looks without a new picture, what was seen is no longer believed."""
_AGREEING: Final = 2
"""Looks in a row that must say the same before a change is reported: a customer's arm is no empty facing."""
_log = structlog.get_logger(__name__)


class FacingAgent:
    """Runs one camera. Products are channels, in the order of their numbers: a picture has at most 64."""

    def __init__(self, outbox: Outbox, pictures: Pictures, camera: ShelfCamera, look_seconds: float) -> None:
        self._outbox = outbox
        self._pictures = pictures
        self._camera = camera
        self._look_seconds = look_seconds
        self._slots: dict[int, Facing] = {}
        self._pending: dict[int, tuple[Facing, int]] = {}
        self._reported: dict[str, tuple[Share, str, float]] = {}
        self._seen_at = time.monotonic()
        self._blind = False
        self._last: list[Seen] = []

    def run(self, stop: threading.Event) -> None:
        """Look until `stop` is set; a camera that shows nothing is waited for."""
        try:
            while not stop.is_set():
                began = time.monotonic()
                self.look(began)
                stop.wait(max(0.0, began + self._look_seconds - time.monotonic()))
        finally:
            self._pictures.close()

    def look(self, now: float) -> None:
        """Look once and put what there is to say into the outbox."""
        picture = self._pictures.newest()
        seen = None if picture is None else self._judge(picture)
        if seen is not None:
            self._seen_at, self._last = now, self._settle(seen)
        was, self._blind = self._blind, now - self._seen_at > max(BLIND_SECONDS, _BLIND_LOOKS * self._look_seconds)
        if self._blind and not was:
            _log.warning("the camera shows nothing new", action="shelf.blind")
        if self._last:
            self._report(shares(self._last), "UNSEEN" if self._blind else "", now)

    def _judge(self, picture: Image) -> list[Seen] | None:
        try:
            return self._camera.look(picture)
        except ConfigurationError as error:
            _log.error(error.message, action="shelf.picture", advice=error.advice)
            return None

    def _settle(self, seen: Sequence[Seen]) -> list[Seen]:
        """Return what slots show, each change only once it was seen twice in a row."""
        settled = []
        for number, each in enumerate(seen):
            before = self._slots.setdefault(number, each.facing)
            if each.facing is before:
                self._pending.pop(number, None)
            else:
                facing, looks = self._pending.get(number, (each.facing, 0))
                looks = looks + 1 if facing is each.facing else 1
                self._pending[number] = (each.facing, looks)
                if looks >= _AGREEING:
                    self._slots[number] = each.facing
                    del self._pending[number]
            settled.append(each._replace(facing=self._slots[number]))
        return settled

    def _report(self, found: Sequence[Share], fault: str, now: float) -> None:
        drafts = []
        for channel, share in enumerate(found, start=1):
            # Where nothing of a product can be seen, nothing is known of it.
            own = fault or ("UNSEEN" if share.unknown and not share.filled + share.empty + share.strange else "")
            last = self._reported.get(share.gtin)
            if last is not None and last[:2] == (share, own) and now - last[2] < HEARTBEAT_SECONDS:
                continue
            if last is None or last[:2] != (share, own):
                _log.info("facings", action="shelf.facings", fault=own, **share._asdict())
            self._reported[share.gtin] = (share, own, now)
            drafts.append(_draft(channel, share, own))
        if not drafts:
            return
        try:
            self._outbox.add(drafts, {})
        except (OutboxFullError, OutboxError) as error:
            _log.critical(error.message, action="shelf.refused", advice=error.advice, readings=len(drafts))


def _draft(channel: int, share: Share, fault: str) -> Draft:
    at = now_ms()
    facings = Facings(share.filled, share.empty, share.unknown, share.strange, round(share.share, 3))
    known = share.filled + share.empty + share.strange
    confidence = 0.0 if fault else round(known / max(known + share.unknown, 1), 2)
    stock = Stock(
        ts=at, channel=channel, gtin=share.gtin, grams=0, units=share.filled,
        confidence=confidence, fault=fault, facings=facings,
    )  # fmt: skip
    return Draft(Kind.STOCK, encode_event(stock), at, slot=f"facings/{channel}")
