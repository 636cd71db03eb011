"""What a station's hub and screen are sent by somebody who does not mean well, or at an awkward moment."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from waiting import PATIENCE

from edge.station.hub import Request
from edge.station.hub_server import Claims
from edge.station.kiosk import Kiosk, Screen

ITEM, OTHER_ITEM, CASE, PALLET = 1001, 1002, 2001, 3001


@pytest.fixture
def claims(tmp_path: Path) -> Iterator[Claims]:
    claims = Claims(tmp_path / "hub.db")
    yield claims
    claims.close()


def _claim(station: str, code: int, *ancestors: int) -> Request:
    return Request("claim", station, f"SO-{station}", code, ancestors, "", 1_780_000_000_000)


@pytest.mark.parametrize("first", ["a", "b"])
def test_a_case_is_refused_while_another_station_has_one_item_of_it(claims: Claims, first: str) -> None:
    second = "b" if first == "a" else "a"
    assert claims.claim(_claim(first, ITEM, CASE)).granted
    assert claims.claim(_claim(second, OTHER_ITEM, CASE)).granted
    for station, holder in (("a", "b"), ("b", "a")):
        answer = claims.claim(_claim(station, CASE, PALLET))
        assert (answer.granted, answer.station) == (False, holder)


def test_a_station_may_claim_the_case_of_its_own_items(claims: Claims) -> None:
    assert claims.claim(_claim("a", ITEM, CASE)).granted
    assert claims.claim(_claim("a", CASE)).granted
    assert claims.claim(_claim("a", CASE)).granted


def test_the_body_of_a_refused_request_is_no_request() -> None:
    kiosk = Kiosk(0, Screen("dc-east", "station-ship", lambda: True, lambda: 0), lambda _: "OK")
    kiosk.start()
    hidden = f"GET /kiosk.css HTTP/1.1\r\nHost: 127.0.0.1:{kiosk.port}\r\n\r\n".encode()
    try:
        for host in (f"127.0.0.1:{kiosk.port}", "evil.example"):
            with socket.create_connection(("127.0.0.1", kiosk.port), timeout=PATIENCE) as connection:
                head = f"POST /act HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(hidden)}\r\n\r\n"
                connection.sendall(head.encode() + hidden)
                answers = b""
                while part := connection.recv(65536):
                    answers += part
            assert answers.startswith(b"HTTP/1.1 403 ")
            assert answers.count(b"HTTP/1.1 ") == 1
    finally:
        kiosk.stop()
