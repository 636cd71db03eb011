"""Serves the screen on loopback with the standard library alone.

Only this machine's own browser can reach it, and only a page that was served here can act: a request must name a
loopback host, come from that page's origin, and carry the token that the page was given.
"""

import hmac
import json
import re
import secrets
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any, Final

import msgspec

from contracts.errors import CodeError
from edge.station.kiosk.screen import Screen

Act = Callable[[Mapping[str, str]], str]
_FILES: Final = {
    "/": ("kiosk.html", "text/html; charset=utf-8"),
    "/kiosk.css": ("kiosk.css", "text/css; charset=utf-8"),
    "/kiosk.js": ("kiosk.js", "text/javascript; charset=utf-8"),
    "/words.js": ("words.js", "text/javascript; charset=utf-8"),
    "/shapes.js": ("shapes.js", "text/javascript; charset=utf-8"),
}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_MOST_BYTES: Final = 4096
_QUIET_SECONDS: Final = 15.0
_ASKED: Final = msgspec.json.Decoder(dict[str, str])
_LOOPBACK: Final = re.compile(r"(127\.0\.0\.1|localhost)(:\d{1,5})?")


class Kiosk:
    """The screen's server; `act` carries out what a button asks for and returns a word on it, or raises `CodeError`."""

    def __init__(self, port: int, screen: Screen, act: Act) -> None:
        self._server = _Server(("127.0.0.1", port), screen, act)
        self._thread = threading.Thread(target=self._server.serve_forever, name="kiosk", daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """End every connection."""
        self._server.over.set()
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], screen: Screen, act: Act) -> None:
        super().__init__(address, _Handler)
        self.screen = screen
        self.act = act
        self.token = secrets.token_urlsafe(24)
        self.over = threading.Event()
        folder = resources.files(__package__)
        self.files = {path: (folder.joinpath(name).read_text("utf-8"), kind) for path, (name, kind) in _FILES.items()}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    timeout = 60

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401  the base class's signature
        """Say nothing: the station's log tells what matters."""

    def do_GET(self) -> None:
        if not self._is_local():
            return
        path, _, query = self.path.partition("?")
        if path == "/events":
            self._stream(query)
        elif path in self.server.files:
            text, kind = self.server.files[path]
            self._answer(HTTPStatus.OK, text.replace("{{token}}", self.server.token).encode(), kind)
        else:
            self._answer(HTTPStatus.NOT_FOUND, b"", "text/plain")

    def do_POST(self) -> None:
        if not self._is_local():
            return
        size = self.headers.get("Content-Length", "")
        origin = self.headers.get("Origin", "")
        given = self.headers.get("X-Kiosk-Token", "")
        own = hmac.compare_digest(given.encode(), self.server.token.encode())
        if not own or origin != f"http://{self.headers['Host']}" or self.path != "/act":
            self._answer(HTTPStatus.FORBIDDEN, b'{"error":"reload the page"}')
        elif not size.isdecimal() or int(size) > _MOST_BYTES:
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, b'{"error":"too long"}')
        else:
            self._act(self.rfile.read(int(size)))

    def _act(self, body: bytes) -> None:
        try:
            said = {"said": self.server.act(_ASKED.decode(body))}
        except CodeError as error:
            said = {"error": error.message}
        except (msgspec.DecodeError, KeyError, RecursionError) as error:
            said = {"error": f"not understood: {error}"}
        self._answer(HTTPStatus.OK, json.dumps(said).encode())

    def _stream(self, query: str) -> None:
        """Send the state whenever it changes, and now and then a comment, so that a dead connection is noticed."""
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        number = int(query.removeprefix("after=")) if query.removeprefix("after=").isdecimal() else -1
        try:
            while not self.server.over.is_set():
                fresh, state = self.server.screen.wait(number, _QUIET_SECONDS)
                self.wfile.write(b"data: %b\n\n" % state if fresh != number else b": still here\n\n")
                self.wfile.flush()
                number = fresh
        except OSError:
            return

    def _is_local(self) -> bool:
        """Refuse a name that leads here from elsewhere: a page of the internet may have pointed one at loopback."""
        if _LOOPBACK.fullmatch(self.headers.get("Host", "")):
            return True
        self._answer(HTTPStatus.FORBIDDEN, b"", "text/plain")
        return False

    def _answer(self, status: HTTPStatus, body: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", _POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-store")
        if status is not HTTPStatus.OK:
            # Whatever follows may be a body that nobody has read: it is no request.
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
