"""A stranger's body is refused before it fills the memory: announced or not, on every address that reads one."""

import socket
from collections.abc import Iterator
from contextlib import suppress

import asking
import pytest
from conftest import TestDatabase
from console_world import make_world, running
from waiting import PATIENCE

from trace_service.web.bodies import LARGEST_BODY


@pytest.fixture
def url(database: TestDatabase) -> Iterator[str]:
    with running(make_world(database.owner_dsn, database.trace_dsn)) as site:
        yield site.url


def test_a_body_that_is_too_large_is_refused_and_one_that_is_not_is_read(url: str) -> None:
    kinds = {
        "/login": "application/x-www-form-urlencoded",
        "/api/v1/session": "application/json",
        "/api/v1/check/sale": "application/json",
    }
    for path, kind in kinds.items():
        for length in (LARGEST_BODY + 1, LARGEST_BODY):
            announced = asking.post(url + path, content=b"x" * length, headers={"Content-Type": kind})
            pieces = (b"x" * (length // 16) for _ in range(17 if length > LARGEST_BODY else 16))
            by_and_by = asking.post(url + path, content=pieces, headers={"Content-Type": kind})
            for answer in (announced, by_and_by):
                assert (answer.status_code == 413) == (length > LARGEST_BODY), (path, length, answer.status_code)
    refused = asking.post(f"{url}/api/v1/session", content=b"x" * (LARGEST_BODY + 1))
    assert refused.json()["code"] == "BODY_TOO_LARGE"
    assert refused.headers["content-security-policy"]
    assert asking.get(f"{url}/healthz").status_code == 200


@pytest.mark.parametrize("path", ["/api/v1/session", "/api/v1/check/sale"])
def test_a_length_beside_chunks_does_not_hide_what_comes(url: str, path: str) -> None:
    """The server reads such a body to its last chunk, whatever length was announced."""
    host, port = url.removeprefix("http://").split(":")
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: 3\r\n"
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as client:
        client.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        with suppress(ConnectionError):  # refused before all of it was sent
            for _ in range(LARGEST_BODY // 0x10000 + 1):
                client.sendall(chunk)
            client.sendall(b"0\r\n\r\n")
        answer = client.recv(65536)
    assert answer.startswith(b"HTTP/1.1 413 "), answer[:200]
