"""The process that writes a snapshot holds nothing of the worker's: a worker that is killed is replaced at once."""

import errno
import os
import socket
from contextlib import closing
from pathlib import Path

import psycopg
from conftest import TestDatabase
from waiting import wait_for

from trace_service.detection.engine import Engine
from trace_service.detection.live.snapshots import Snapshot, Snapshots
from trace_service.detection.network import Channel, Network
from trace_service.store.connection import connect

LOCK = 7


def test_a_port_and_a_lock_are_free_once_the_worker_itself_is_gone(database: TestDatabase) -> None:
    with psycopg.connect(database.owner_dsn, autocommit=True) as owner:
        owner.execute("INSERT INTO trace.brand VALUES ('w', '界', 'World')")
    snapshots = Snapshots(database.trace_dsn, bytes(range(32)))
    engine = Engine(Network(Channel(dealers=(), territories=(), places=())))
    with psycopg.connect(database.owner_dsn) as owner, connect(database.trace_dsn, "other") as other:
        owner.execute("LOCK TABLE trace.engine_snapshot IN ACCESS EXCLUSIVE MODE")  # the snapshot takes its time
        worker = connect(database.trace_dsn, "worker")
        worker.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
        with closing(socket.create_server(("127.0.0.1", 0))) as metrics:
            port = metrics.getsockname()[1]
            assert snapshots.begin("w", Snapshot(engine, 1))
        # As the kernel does when a process is killed: closed without a word.
        with Path(os.devnull).open() as nothing:
            os.dup2(nothing.fileno(), worker.fileno())

        def is_free() -> bool:
            found = other.execute("SELECT pg_try_advisory_lock(%s) AS had", (LOCK,)).fetchone()
            return found is not None and found.had

        def is_closed() -> bool:
            with socket.socket() as caller:
                return caller.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED

        wait_for(is_free)
        wait_for(is_closed)  # one after the other, and each at once
        assert snapshots.is_busy()
        owner.rollback()
        worker.close()
    wait_for(lambda: not snapshots.is_busy())
    with psycopg.connect(database.owner_dsn) as owner:
        assert owner.execute("SELECT seq FROM trace.engine_snapshot").fetchall() == [(1,)]
