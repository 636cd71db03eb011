"""What could not be stored: listed, shown, and put through again once it is mended or its cause is gone."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec
from psycopg import Connection
from psycopg.rows import class_row

from contracts.errors import CodefenceError, HeaderError, MessageError
from contracts.messages import pack, unpack_header
from ingest.landing.decode import decode
from ingest.landing.store import Outcome, store
from ingest.queries import QUERIES

_WHOLE: Final = b"CF1 "


class LetterMissingError(CodefenceError):
    """No dead letter has this number."""

    code = "DEAD_LETTER_MISSING"


class LetterSettledError(CodefenceError):
    """A dead letter was replayed or closed before."""

    code = "DEAD_LETTER_SETTLED"


class ReplayError(CodefenceError):
    """A dead letter was put through again and is still refused; nothing was changed."""

    code = "REPLAY_REFUSED"


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """One dead letter; `payload` is the message as it came, whole."""

    id: int
    received_at: datetime
    topic: str
    device: str | None
    boot: UUID | None
    first_seq: int | None
    last_seq: int | None
    reason: str
    detail: str
    sqlstate: str | None
    replayed_at: datetime | None
    closed_at: datetime | None
    decision: str
    repeats: int
    """How many more came from the same sender for the same reason and were only counted."""
    payload: bytes = b""

    @property
    def body(self) -> bytes:
        """The events without their header line; everything where there is none."""
        try:
            return bytes(unpack_header(self.payload)[1])
        except HeaderError:
            return self.payload


def find(connection: Connection, *, replayed: bool, limit: int) -> Sequence[Letter]:
    """Return the newest letters without their payloads; those already replayed only if asked for."""
    with connection.cursor(row_factory=class_row(Letter)) as cursor:
        return cursor.execute(QUERIES["list_dead_letters"], {"all": replayed, "limit": limit}).fetchall()


def get(connection: Connection, number: int) -> Letter:
    """Return one letter with its payload, or raise `LetterMissingError`."""
    with connection.cursor(row_factory=class_row(Letter)) as cursor:
        letter = cursor.execute(QUERIES["get_dead_letter"], {"id": number}).fetchone()
    if letter is None:
        raise LetterMissingError(f"there is no dead letter {number}", advice="List them: codefence ingest dead-letters")
    return letter


def close(connection: Connection, number: int, decision: str) -> None:
    """Note that a letter will not be replayed, and why; `LetterMissingError` or `LetterSettledError` otherwise."""
    if not connection.execute(QUERIES["close_dead_letter"], {"id": number, "decision": decision}).rowcount:
        letter = get(connection, number)
        raise LetterSettledError(
            f"dead letter {number} is {'replayed' if letter.replayed_at else 'closed'} already", advice="Leave it."
        )


def replay(
    connection: Connection,
    number: int,
    *,
    mended: bytes | None = None,
    topic: str | None = None,
    clock_behind: timedelta = timedelta(0),
) -> Outcome:
    """Put one letter through again, judged by the clock of its arrival, and mark it; all or nothing.

    `mended` replaces the payload: a whole message, or the JSON array of its events, which keep their identity.
    `clock_behind` is how far the server's clock was behind the true time when the letter came, negative if ahead.
    Raises `ReplayError` if anything in it is refused again.
    """
    letter = get(connection, number)
    payload = letter.payload if mended is None else _message(letter, mended)
    arrived = letter.received_at + clock_behind
    message = decode(topic or letter.topic, payload, round(arrived.timestamp() * 1000))
    with connection.transaction():
        if connection.execute(QUERIES["lock_dead_letter"], {"id": number}).fetchone() != (None,):
            raise ReplayError(f"dead letter {number} was replayed before")
        outcome = store(connection, [message], replay=True)
        if outcome.letters:
            _, fault = outcome.letters[0]
            raise ReplayError(
                f"still refused: {fault.reason}, {fault.detail}",
                advice="Mend the body with --mended, the topic with --topic, the registry, or see --clock-behind.",
            )
        connection.execute(QUERIES["mark_replayed"], {"id": number})
    return outcome


def _message(letter: Letter, mended: bytes) -> bytes:
    """Return a whole message: with a header of its own, or under the letter's identity."""
    if mended.startswith(_WHOLE):
        return mended
    if letter.boot is None or letter.first_seq is None or letter.last_seq is None:
        raise ReplayError("the letter has no identity", advice="Give a whole message that begins with 'CF1 '.")
    try:
        events = msgspec.json.decode(mended, type=list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MessageError(f"the mended body is no JSON array: {error}") from error
    if len(events) != letter.last_seq - letter.first_seq + 1:
        raise ReplayError(f"{len(events)} events cannot replace those numbered {letter.first_seq} to {letter.last_seq}")
    header, _ = unpack_header(letter.payload)
    return pack(letter.boot.hex, letter.first_seq, header.sent_at, [bytes(event) for event in events])
