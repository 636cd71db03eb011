"""Whose word the console takes for a visitor's address, on the process as it is deployed."""

import base64
import os
import subprocess
import sys
from pathlib import Path

import asking
import httpx
import pytest
from conftest import TestDatabase
from waiting import PATIENCE, wait_for

from cli.embedded.files import kept_port
from trace_service.web.build_assets import ensure_assets


@pytest.mark.parametrize(("trusted", "neighbour"), [(None, 401), ('["10.9.8.0/24"]', 429)])
def test_behind_a_trusted_proxy_each_visitor_has_an_allowance_of_its_own(
    database: TestDatabase, tmp_path: Path, trusted: str | None, neighbour: int
) -> None:
    ensure_assets(lambda _: None)
    port = kept_port(tmp_path / "port")
    environment = {
        "PATH": os.defpath,
        "TRACE_DATABASE_URL": database.trace_dsn,
        "TRACE_KEY_ENCRYPTION_KEY": base64.b64encode(bytes(32)).decode(),
        "TRACE_HTTP_PORT": str(port),
        **({"TRACE_TRUSTED_PROXIES": trusted} if trusted else {}),
    }
    command = [sys.executable, "-c", "from cli.main import main; main()", "trace", "web"]
    console = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"

    def ask(address: str) -> int:
        headers = {"Authorization": "Bearer wrong", "X-Forwarded-For": address}
        return httpx.post(f"{url}/api/v1/stations/notes", content=b"[]", headers=headers, timeout=PATIENCE).status_code

    try:
        wait_for(lambda: _is_up(url))
        assert {ask("203.0.113.7") for _ in range(30)} == {401, 429}
        assert ask("203.0.113.8") == neighbour
    finally:
        console.terminate()
        console.wait(PATIENCE)


def _is_up(url: str) -> bool:
    try:
        return asking.get(f"{url}/healthz").is_success
    except httpx.TransportError:
        return False
