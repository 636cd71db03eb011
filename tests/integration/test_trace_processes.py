"""The worker as a process: killed, without a database, told to stop."""

import base64
import os
import signal
import subprocess
import sys
import time

import psycopg
from trace_market import Market, Message
from waiting import PATIENCE, wait_for

KEY = base64.b64encode(bytes(range(32))).decode()


def start_worker(dsn: str, key: str = KEY) -> subprocess.Popen[bytes]:
    environment = {"PATH": os.defpath, "TRACE_DATABASE_URL": dsn, "TRACE_KEY_ENCRYPTION_KEY": key}
    command = [sys.executable, "-c", "from cli.main import main; main()", "trace", "worker"]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)


def stop(worker: subprocess.Popen[bytes]) -> str:
    worker.send_signal(signal.SIGTERM)
    _, log = worker.communicate(timeout=PATIENCE)
    return log.decode()


def wait_until_empty(market: Market) -> None:
    wait_for(lambda: market.rows("SELECT count(*) FROM landing.work") == [(0,)])


def a_day(market: Market) -> list[Message]:
    day = []
    for case in market.cases_to("D-CHENGDU"):
        day += [*market.pack(case), market.ship(case, "D-CHENGDU"), market.consumer(case["items"][0], "nanjing")]
    return day


def test_a_worker_killed_again_and_again_loses_and_repeats_nothing(market: Market) -> None:
    day = a_day(market)
    market.land(*day)
    for delay in (0.1, 0.25, 0.4):
        worker = start_worker(market.database.trace_dsn)
        wait_until_connected(market)
        time.sleep(delay)
        worker.kill()
        worker.communicate()
    wait_until_connected(market, workers=0)
    worker = start_worker(market.database.trace_dsn)
    wait_until_connected(market)
    wait_until_empty(market)
    log = stop(worker)
    assert worker.returncode == 0, log
    assert market.rows("SELECT count(*) FROM trace.verdict") == [(len(day),)]
    assert market.rows("SELECT count(*) FROM trace.custody_event") == [(30 * 7,)]
    assert market.rows("SELECT count(*) FROM trace.binding WHERE valid_to IS NULL") == [(30,)]
    assert market.rows("SELECT cases, scans FROM trace.alert") == [(30, 30)]


def wait_until_connected(market: Market, workers: int = 1) -> None:
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'trace worker' AND datname = current_database()"
    )
    wait_for(lambda: market.rows(query) == [(workers,)])


def test_work_is_taken_up_at_once_when_it_is_announced_and_the_console_is_told(market: Market) -> None:
    worker = start_worker(market.database.trace_dsn)
    try:
        wait_until_connected(market)
        case = market.cases_to("D-CHENGDU")[0]
        with psycopg.connect(market.database.trace_dsn, autocommit=True) as listener:
            listener.execute("LISTEN console")
            market.land(market.consumer(case["items"][0], "nanjing"))
            with psycopg.connect(market.database.ingest_dsn) as ingest:
                ingest.execute("NOTIFY work")
            told = [notice.payload for notice in listener.notifies(timeout=PATIENCE, stop_after=1)]
        assert told == ['{"kind":"scan","brand":"qingyuan"}']
    finally:
        log = stop(worker)
    assert worker.returncode == 0, log
    assert "worker.stopped" in log


def test_a_worker_outlives_its_database_connection(market: Market) -> None:
    worker = start_worker(market.database.trace_dsn)
    try:
        for number in range(2):
            wait_until_connected(market)
            market.rows(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'trace worker' AND datname = current_database()"
            )
            market.land(market.consumer(market.cases_to("D-CHENGDU")[number]["items"][0], "nanjing"))
            wait_until_empty(market)
    finally:
        log = stop(worker)
    assert worker.returncode == 0, log
    assert log.count("worker.retry") >= 2


def test_without_a_database_a_worker_waits_and_still_stops_when_told() -> None:
    worker = start_worker("postgresql://nobody:x@127.0.0.1:9/none")
    try:
        assert worker.stderr is not None
        first = worker.stderr.readline().decode()
        assert "worker.retry" in first
        assert worker.poll() is None
    finally:
        stop(worker)
    assert worker.returncode == 0


def test_a_worker_with_another_key_ends_and_leaves_the_work_queued(market: Market) -> None:
    market.land(market.consumer(market.cases_to("D-CHENGDU")[0]["items"][0], "nanjing"))
    worker = start_worker(market.database.trace_dsn, base64.b64encode(bytes(32)).decode())
    _, log = worker.communicate(timeout=PATIENCE)
    assert worker.returncode == 1
    assert "TRACE_KEY_ENCRYPTION_KEY" in log.decode()
    assert market.rows("SELECT count(*) FROM landing.work") == [(1,)]
    assert market.rows("SELECT count(*) FROM trace.quarantine") == [(0,)]
