"""What a trace worker tells of itself, as the compose file's health check asks for it."""

import base64
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import yaml
from conftest import TestDatabase
from waiting import PATIENCE, wait_for

from cli.embedded.files import kept_port
from trace_service import health as module
from trace_service.health import WorkerHealth

ROOT = Path(__file__).parents[2]
KEY = base64.b64encode(bytes(range(32))).decode()
COMMAND = [sys.executable, "-c", "from cli.main import main; main()", "trace", "worker"]


@pytest.fixture
def healthy(database: TestDatabase, tmp_path: Path) -> Iterator[Callable[..., bool]]:
    port = kept_port(tmp_path / "port")
    settings = {"DATABASE_URL": database.trace_dsn, "KEY_ENCRYPTION_KEY": KEY, "WORKER_PORT": str(port)}
    environment = {"PATH": os.defpath, **{f"TRACE_{name}": value for name, value in settings.items()}}
    check = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]["worker"]["healthcheck"]
    lines = check["test"][4:]
    assert len(lines) == 2
    script = [sys.executable, str(ROOT / "deploy" / "healthy.py"), f"http://127.0.0.1:{port}/metrics"]

    def answers(*wanted: str) -> bool:
        return subprocess.run([*script, *(wanted or lines)], capture_output=True, check=False).returncode == 0

    with (tmp_path / "log").open("wb") as log:
        worker = subprocess.Popen(COMMAND, env=environment, stderr=log)
    yield answers
    worker.terminate()
    assert worker.wait(PATIENCE) == 0


def test_a_worker_is_healthy_while_connected_and_not_without_a_database(
    healthy: Callable[..., bool], database: TestDatabase
) -> None:
    wait_for(healthy)
    with psycopg.connect(database.owner_dsn, autocommit=True) as owner:
        name = owner.info.dbname
        with psycopg.connect(database.owner_dsn.rsplit("/", 1)[0] + "/postgres", autocommit=True) as other:
            other.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
            owner.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'trace worker'"
            )
            wait_for(lambda: healthy("codefence_worker_connected 0.0"))
            assert not healthy()
            other.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())
        wait_for(healthy)


def test_work_that_waits_and_work_that_cannot_be_done_show(
    healthy: Callable[..., bool], database: TestDatabase
) -> None:
    wait_for(healthy)
    with psycopg.connect(database.owner_dsn) as connection:
        connection.execute(
            "INSERT INTO landing.work (kind, device, boot, seq, ts) VALUES ('scan', 'x', gen_random_uuid(), 1, now())"
        )
    wait_for(lambda: healthy("codefence_worker_lag_seconds 0.0") and not healthy("codefence_worker_pieces_total 0.0"))


def test_a_worker_that_no_longer_moves_is_stalled(monkeypatch: pytest.MonkeyPatch) -> None:
    health = WorkerHealth()
    assert health.registry.get_sample_value("codefence_worker_stalled") == 0
    monkeypatch.setattr(module, "STALLED_SECONDS", -1.0)
    assert health.registry.get_sample_value("codefence_worker_stalled") == 1
    health.moved(3)
    assert health.registry.get_sample_value("codefence_worker_pieces_total") == 3
