"""A partner's server on this machine: it takes what is posted to it and answers as the test likes."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import NamedTuple


class Posted(NamedTuple):
    """What came."""

    path: str
    headers: dict[str, str]
    body: bytes


class Answer(NamedTuple):
    """What is said to it."""

    status: int = 204
    body: bytes = b""
    headers: Mapping[str, str] = MappingProxyType({})


@contextmanager
def receiving(take: Callable[[Posted], Answer]) -> Iterator[str]:
    """Yield the server's address; `take` is called in a thread of its own for each request."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = take(Posted(self.path, dict(self.headers), body))
            self.send_response(answer.status)
            for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
