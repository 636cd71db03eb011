"""The site's hub, from a station's side: it claims each unit, so that no two stations load the same one.

A request is one line, `{mac} {json}`, and so is its answer; the MAC is HMAC-SHA256 with the site's secret, over the
request's own bytes in one direction, over its nonce and the answer in the other: nobody without the secret can claim,
free or answer. Claims that were made while the hub was away are handed in when it is back; what then turns out to be
loaded twice is a conflict, which goes to the server.
"""

import hashlib
import hmac
import secrets
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec
import structlog
from msgspec import Struct

MAX_LINE: Final = 64 * 1024
CLAIM_SECONDS: Final = 0.03
_AWAY_SECONDS: Final = 2.0
_MOST_PENDING: Final = 50_000
_log = structlog.get_logger(__name__)


class Claim(NamedTuple):
    """A unit that is about to be loaded, and what it lies in."""

    order: str
    unit: str
    hash: int
    ancestors: tuple[int, ...]


class Request(Struct, frozen=True):
    """What a station asks: `claim` or `free`; `at` is milliseconds since the epoch."""

    op: str
    station: str
    order: str
    hash: int
    ancestors: tuple[int, ...]
    nonce: str
    at: int


class Answer(Struct, frozen=True):
    """Whether the unit is this station's now; if not, who has it, for which order, since when."""

    granted: bool
    station: str = ""
    order: str = ""
    at: int = 0


_ANSWER = msgspec.json.Decoder(Answer)


def mac(secret: bytes, *parts: bytes) -> bytes:
    """Return the message authentication code of parts, in hexadecimal digits."""
    digest = hmac.new(secret, digestmod=hashlib.sha256)
    for part in parts:
        digest.update(len(part).to_bytes(4, "big") + part)
    return digest.hexdigest().encode()


class Hub:
    """A connection to the hub that holds no packer up: beyond `patience` seconds the hub counts as away."""

    def __init__(
        self,
        address: tuple[str, int],
        secret: bytes,
        station: str,
        on_conflict: Callable[[Claim, Answer], None],
        patience: float = CLAIM_SECONDS,
    ) -> None:
        self._address = address
        self._secret = secret
        self._station = station
        self._on_conflict = on_conflict
        self._patience = patience
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._away_until = 0.0
        self._pending: deque[tuple[str, Claim]] = deque(maxlen=_MOST_PENDING)

    @property
    def is_up(self) -> bool:
        """Whether the hub answered when it was last asked."""
        return self._socket is not None

    def claim(self, claim: Claim) -> Answer | None:
        """Claim a unit; None while the hub is away, in which case the claim is handed in later."""
        with self._lock:
            answer = self._ask("claim", claim) if self._hand_in() else None
            if answer is None:
                self._pending.append(("claim", claim))
            return answer

    def let_go(self, order: str, code: int) -> None:
        """Free a unit that was taken off the load."""
        claim = Claim(order, "", code, ())
        with self._lock:
            if not self._hand_in() or self._ask("free", claim) is None:
                self._pending.append(("free", claim))

    def try_again(self) -> None:
        """Hand in what waits; called now and then while nothing is scanned."""
        with self._lock:
            self._hand_in()

    def close(self) -> None:
        """End the connection."""
        with self._lock:
            self._drop()

    def _hand_in(self) -> bool:
        """Hand in what was claimed while the hub was away; return whether it answers."""
        if self._socket is None and time.monotonic() < self._away_until:
            return False
        while self._pending:
            op, claim = self._pending[0]
            answer = self._ask(op, claim)
            if answer is None:
                return False
            self._pending.popleft()
            if not answer.granted:
                self._on_conflict(claim, answer)
        return True

    def _ask(self, op: str, claim: Claim) -> Answer | None:
        nonce, now = secrets.token_hex(12), time.time_ns() // 1_000_000
        request = Request(op, self._station, claim.order, claim.hash, claim.ancestors, nonce, now)
        body = msgspec.json.encode(request)
        try:
            connection = self._connected()
            connection.sendall(mac(self._secret, body) + b" " + body + b"\n")
            line = _read_line(connection)
            given, _, said = line.partition(b" ")
            if not hmac.compare_digest(given, mac(self._secret, nonce.encode(), said)):
                raise ConnectionError("the hub's answer is not signed with this site's secret")
            return _ANSWER.decode(said)
        except (OSError, msgspec.DecodeError) as error:
            if self._socket is not None or not self._away_until:
                _log.warning("the hub is away", action="hub.away", reason=str(error))
            self._drop()
            self._away_until = time.monotonic() + _AWAY_SECONDS
            return None

    def _connected(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.create_connection(self._address, timeout=self._patience)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _log.info("the hub answers", action="hub.connected")
        self._socket.settimeout(self._patience)
        return self._socket

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _read_line(connection: socket.socket) -> bytes:
    received = b""
    while not received.endswith(b"\n"):
        part = connection.recv(4096)
        if not part or len(received) > MAX_LINE:
            raise ConnectionError("the hub ended the connection")
        received += part
    return received[:-1]
