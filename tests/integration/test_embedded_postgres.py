import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from waiting import PATIENCE, wait_for

from cli.embedded.binaries import service_account
from cli.embedded.postgres import EmbeddedPostgres, create_database
from cli.embedded.process import Account
from contracts.errors import StartError

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes accounts")


@pytest.fixture(scope="module")
def account() -> Iterator[Account | None]:
    home = Path(tempfile.mkdtemp(prefix="codefence-"))  # unlike tmp_path, other accounts may pass through
    home.chmod(0o755)
    yield service_account(home)
    shutil.rmtree(home)


@pytest.fixture
def server(tmp_path: Path, account: Account | None) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path / "var", account)
    server.start()
    yield server
    server.stop()


def pid_of(server: EmbeddedPostgres) -> int:
    assert server.process is not None
    assert server.process.pid is not None
    return server.process.pid


def test_committed_rows_and_the_port_outlive_a_stop(server: EmbeddedPostgres) -> None:
    first = server.database
    create_database(first.dsn(), "shop")
    with psycopg.connect(first.dsn("shop")) as connection:
        connection.execute("CREATE TABLE item AS SELECT 42 AS value")
    server.stop()
    second = server.start()
    assert second == first
    with psycopg.connect(second.dsn("shop")) as connection:
        assert connection.execute("SELECT value FROM item").fetchall() == [(42,)]


def test_committed_rows_outlive_a_kill_and_a_reused_process_id(server: EmbeddedPostgres) -> None:
    with psycopg.connect(server.database.dsn()) as connection:
        connection.execute("CREATE TABLE item AS SELECT generate_series(1, 1000) AS value")
    os.kill(pid_of(server), signal.SIGKILL)
    assert server.process is not None
    process = server.process
    wait_for(lambda: process.exit_code is not None)
    # What the dead server left behind now names a living stranger.
    stale = server.home / "data" / "postmaster.pid"
    lines = stale.read_text(encoding="utf-8").splitlines()
    stale.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n", encoding="utf-8")
    database = server.start()
    with psycopg.connect(database.dsn()) as connection:
        assert connection.execute("SELECT count(*) FROM item").fetchone() == (1000,)


def test_a_commit_is_on_disk_and_pages_are_checked(server: EmbeddedPostgres) -> None:
    with psycopg.connect(server.database.dsn()) as connection:
        wanted = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "data_checksums": "on"}
        found = {name: connection.execute(f"SHOW {name}").fetchone() for name in wanted}
        assert found == {name: (value,) for name, value in wanted.items()}


def test_without_the_password_nobody_gets_in(server: EmbeddedPostgres) -> None:
    database = server.database
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(f"postgresql://{database.user}:wrong@{database.host}:{database.port}/postgres")
    assert (server.home / "password").stat().st_mode & 0o777 == 0o600


def test_a_second_server_on_the_same_folder_is_refused(
    server: EmbeddedPostgres, tmp_path: Path, account: Account | None
) -> None:
    second = EmbeddedPostgres(tmp_path / "var", account)
    with pytest.raises(StartError, match=f"already runs on .*process {pid_of(server)}"):
        second.start()
    with psycopg.connect(server.database.dsn()) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_server_whose_owner_was_killed_gives_way_to_the_next(tmp_path: Path, account: Account | None) -> None:
    script = """
import sys, time
from pathlib import Path
from cli.embedded.postgres import EmbeddedPostgres
from cli.embedded.process import Account
folder, name, uid, gid, home = sys.argv[1:]
server = EmbeddedPostgres(Path(folder), Account(name, int(uid), int(gid), Path(home)) if name else None)
server.start()
Path(folder, "started").touch()
time.sleep(600)
"""
    folder = tmp_path / "var"
    who = [account.name, str(account.uid), str(account.gid), str(account.home)] if account else ["", "0", "0", "/"]
    owner = subprocess.Popen([sys.executable, "-c", script, str(folder), *who], stdout=subprocess.DEVNULL)
    wait_for((folder / "started").exists)
    owner.kill()
    owner.wait()
    successor = EmbeddedPostgres(folder, account)
    try:
        with psycopg.connect(successor.start().dsn()) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        successor.stop()


def test_a_server_that_cannot_start_says_why(server: EmbeddedPostgres) -> None:
    server.stop()
    (server.home / "data" / "global" / "pg_control").rename(server.home / "data" / "hidden")
    with pytest.raises(StartError, match=r"(?s)postgres ended while starting.*pg_control") as caught:
        server.start()
    assert "postgres.log" in caught.value.advice
    (server.home / "data" / "hidden").rename(server.home / "data" / "global" / "pg_control")


def test_data_of_another_major_release_is_refused_with_the_way_out(server: EmbeddedPostgres) -> None:
    server.stop()
    version = server.home / "data" / "PG_VERSION"
    version.write_text("17\n", encoding="ascii")
    with pytest.raises(StartError, match="written by PostgreSQL 17, and this release brings 18") as caught:
        server.start()
    assert "pg_dumpall" in caught.value.advice


@AS_ROOT
def test_a_removed_folder_is_a_fresh_start_that_mentions_the_old_data(
    server: EmbeddedPostgres, tmp_path: Path, account: Account | None, capsys: pytest.CaptureFixture[str]
) -> None:
    create_database(server.database.dsn(), "shop")
    server.stop()
    earlier = server.home
    shutil.rmtree(tmp_path / "var")
    anew = EmbeddedPostgres(tmp_path / "var", account)
    database = anew.start()
    try:
        with pytest.raises(psycopg.OperationalError, match="does not exist"):
            psycopg.connect(database.dsn("shop"))
        assert (earlier / "data").is_dir()
        assert f"home={earlier}" in capsys.readouterr().out
    finally:
        anew.stop()


@AS_ROOT
def test_started_by_root_it_runs_as_another_account_and_opens_no_folder(
    tmp_path: Path, account: Account | None
) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    above = [private / "var", *(private / "var").parents]
    (private / "var").mkdir(mode=0o700)
    before = [(path, path.stat().st_mode, path.stat().st_uid) for path in above]
    server = EmbeddedPostgres(private / "var", account)
    server.start()
    try:
        assert account is not None
        assert psutil.Process(pid_of(server)).uids().real == account.uid != 0
        assert server.home.parent == account.home
        assert [(path, path.stat().st_mode, path.stat().st_uid) for path in above] == before
    finally:
        server.stop()


def test_stopping_leaves_no_process_behind(server: EmbeddedPostgres) -> None:
    postmaster = psutil.Process(pid_of(server))
    family = [postmaster, *postmaster.children(recursive=True)]
    assert len(family) > 3
    server.stop()
    assert psutil.wait_procs(family, timeout=PATIENCE)[1] == []
