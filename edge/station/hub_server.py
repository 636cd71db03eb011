"""The hub of one site: remembers which station has claimed which unit, for stations that cannot ask the server."""

import hmac
import socketserver
import sqlite3
import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from edge.station.hub import MAX_LINE, Answer, Request, mac

_KEPT_MS: Final = 7 * 24 * 3600 * 1000
_SKEW_MS: Final = 5 * 60 * 1000
_NONCES: Final = 100_000
_PRUNED_EVERY: Final = 1000
_MOST_CONNECTIONS: Final = 128
_IDLE_SECONDS: Final = 600
_INTRODUCTION_SECONDS: Final = 10
_REQUEST = msgspec.json.Decoder(Request)
_log = structlog.get_logger(__name__)
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS claim (
    hash INTEGER PRIMARY KEY, station TEXT NOT NULL, reference TEXT NOT NULL, at INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS inside (
    ancestor INTEGER NOT NULL, hash INTEGER NOT NULL, PRIMARY KEY (ancestor, hash)
) STRICT, WITHOUT ROWID;
"""
_HELD: Final = """
SELECT station, reference, at FROM claim WHERE hash = ?1 AND (station, reference) <> (?3, ?4)
UNION ALL
SELECT claim.station, claim.reference, claim.at FROM inside JOIN claim USING (hash)
WHERE inside.ancestor = ?2 AND (claim.station, claim.reference) <> (?3, ?4)
LIMIT 1
"""


class Claims:
    """Who has what, in an SQLite file that outlives a restart; used under a lock."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._database.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; {_SCHEMA}")
        self._lock = threading.Lock()
        self._changes = 0

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def claim(self, request: Request) -> Answer:
        """Give a unit to a station, unless it, what it lies in or something inside it is another order's or station's.

        The same station's claim for the same order again is granted again: its first answer may have been lost.
        """
        with self._lock:
            for code in (request.hash, *request.ancestors):
                inside = code if code == request.hash else 0
                asked = (_signed(code), _signed(inside), request.station, request.order)
                row = self._database.execute(_HELD, asked).fetchone()
                if row is not None:
                    return Answer(False, *row)  # noqa: FBT003  a struct's fields come in their order
            with self._database:
                self._database.execute("BEGIN")
                self._database.execute(
                    "INSERT OR REPLACE INTO claim VALUES (?, ?, ?, ?)",
                    (_signed(request.hash), request.station, request.order, request.at),
                )
                pairs = ((_signed(each), _signed(request.hash)) for each in request.ancestors)
                self._database.executemany("INSERT OR IGNORE INTO inside VALUES (?, ?)", pairs)
                self._prune(request.at)
        return Answer(granted=True)

    def free(self, request: Request) -> Answer:
        """Take a station's claim back."""
        with self._lock, self._database:
            self._database.execute("BEGIN")
            gone = self._database.execute(
                "DELETE FROM claim WHERE hash = ? AND station = ? AND reference = ?",
                (_signed(request.hash), request.station, request.order),
            ).rowcount
            if gone:
                self._database.execute("DELETE FROM inside WHERE hash = ?", (_signed(request.hash),))
        return Answer(granted=True)

    def _prune(self, now: int) -> None:
        self._changes += 1
        if self._changes % _PRUNED_EVERY == 1:
            self._database.execute("DELETE FROM claim WHERE at < ?", (now - _KEPT_MS,))
            self._database.execute("DELETE FROM inside WHERE hash NOT IN (SELECT hash FROM claim)")


class HubServer(socketserver.ThreadingTCPServer):
    """Answers the stations that know the site's secret, and nobody else; port 0 takes a free one.

    Further connections than a site has stations are closed, and so is one that does not soon say something signed.
    """

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128  # all stations of a site may come back at once

    def __init__(self, address: tuple[str, int], secret: bytes, claims: Claims) -> None:
        super().__init__(address, _Handler)
        self._secret = secret
        self._claims = claims
        self._nonces: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()
        self._free = threading.BoundedSemaphore(_MOST_CONNECTIONS)

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ANN401, ARG002  the base class's
        """Tell whether there is room for one more connection."""
        room = self._free.acquire(blocking=False)
        if not room:
            _log.warning("too many connections", action="hub.full", most=_MOST_CONNECTIONS)
        return room

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  the base class's
        """Serve one connection in its thread, and make room again however it ends."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def answer(self, line: bytes) -> bytes | None:
        """Return the answer to one request; None for what is not signed, too old, or was sent before."""
        try:
            request = self._opened(line)
        except _RefusedError as error:
            _log.warning("a request was refused", action="hub.refused", reason=str(error))
            return None
        answer = self._claims.free(request) if request.op == "free" else self._claims.claim(request)
        said = msgspec.json.encode(answer)
        return mac(self._secret, request.nonce.encode(), said) + b" " + said + b"\n"

    def _opened(self, line: bytes) -> Request:
        given, _, body = line.partition(b" ")
        # 1. Signed with the site's secret.
        if not hmac.compare_digest(given, mac(self._secret, body)):
            raise _RefusedError("not signed with this site's secret")
        try:
            request = _REQUEST.decode(body)
        except msgspec.DecodeError as error:
            raise _RefusedError(str(error)) from error
        # 2. Sent now.
        if abs(time.time_ns() // 1_000_000 - request.at) > _SKEW_MS:
            raise _RefusedError(f"the clock of {request.station} differs by more than five minutes")
        # 3. Sent once.
        with self._lock:
            if request.nonce in self._nonces:
                raise _RefusedError("sent before")
            self._nonces[request.nonce] = None
            if len(self._nonces) > _NONCES:
                self._nonces.popitem(last=False)
        return request


class _RefusedError(Exception):
    """Nobody with the site's secret would send this."""


class _Handler(socketserver.StreamRequestHandler):
    server: HubServer
    disable_nagle_algorithm = True
    timeout = _INTRODUCTION_SECONDS

    def handle(self) -> None:
        """Answer line after line until the station goes, or sends what nobody with the secret would."""
        try:
            while line := self.rfile.readline(MAX_LINE):
                answer = self.server.answer(line.rstrip(b"\n"))
                if answer is None:
                    return
                self.connection.settimeout(_IDLE_SECONDS)
                self.wfile.write(answer)
        except OSError:
            return


def _signed(code: int) -> int:
    """Return an unsigned 64-bit hash as SQLite's signed integer."""
    return code - (1 << 64) if code >= 1 << 63 else code
