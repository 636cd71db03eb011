"""Broker to commit to acknowledgement: ingest beside naive, batched and idle consumers of the same messages."""

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final, NamedTuple

import psycopg

from benchmarks.frame import Figure, Outcome, Progress, Target
from benchmarks.load.messages import messages
from benchmarks.load.process import Subject, running
from benchmarks.load.publisher import Publisher, forget
from benchmarks.load.servers import Servers, brokers, commits_per_s, servers
from cli.installation import codefence
from contracts.messages import decode_ack, unpack_header
from ingest.mqtt.consumer import Arrival

_TARGETS: Final = {
    "ingest.cpu_us_per_message": Target("<=", 25.0),
    "naive_cpu_to_ingest_cpu": Target(">=", 40.0),
    "naive_same_job_cpu_to_ingest_cpu": Target(">=", 40.0),
    "ingest_to_batched_throughput": Target(">=", 2.5),
    "ingest_to_batched_same_job_throughput": Target(">=", 2.5),
    "live.ingest_to_c_client_throughput": Target(">=", 0.7),
    "publish_to_ack_p99_ms": Target("<=", 75.0),
    "ingest.peak_mib": Target("<=", 150.0),
}
_ROUNDS: Final = 3
_MANY, _SOME, _FEW = 30_000, 15_000, 1_000
_ARRAYS, _ARRAY = 20_000, 50
_ARRAY_SECONDS: Final = 8.0
_RATE, _LATENCY_SECONDS = 300, 8.0
_POLL_SECONDS: Final = 0.02
_RECEIVED: Final = "SELECT coalesce(sum(upper(one) - lower(one)), 0) FROM landing.received, unnest(ranges) AS one"
_BASELINE_TABLES: Final = """
CREATE TABLE bench.naive (device text, boot uuid, seq bigint, ts timestamptz, code text, body jsonb,
    PRIMARY KEY (device, boot, seq));
CREATE TABLE bench.batched (device text, boot uuid, seq bigint, ts timestamptz, code text, symbology text,
    activity text, reference text, recipient text, PRIMARY KEY (device, boot, seq))
"""


class Drain(NamedTuple):
    """How a backlog was drained."""

    per_s: float
    cpu_us: float


def run(progress: Progress) -> Outcome:
    """Drain the same backlog with every consumer, then measure latency and memory of ours, on each broker at hand.

    The first broker's figures are held against the targets; those of NATS, the wheel, begin with `nats.`. Throughput
    and CPU time are medians over the rounds, and so are the ratios, each within one round.
    """
    first, *others = brokers()
    figures = _measure(first, _ROUNDS, progress)
    for broker in others:
        figures |= {f"{broker}.{name}": figure for name, figure in _measure(broker, _ROUNDS, progress).items()}
    return Outcome(figures, {name: target for name, target in _TARGETS.items() if name in figures})


def _measure(broker: str, rounds: int, progress: Progress) -> dict[str, Figure]:
    figures: dict[str, Figure] = {"broker": broker}
    with servers(broker) as parts:
        with psycopg.connect(parts.owner_dsn) as connection:
            connection.execute(_BASELINE_TABLES)
        figures["disk.commits_per_s"] = round(commits_per_s(parts.owner_dsn))
        drains = _drains(parts, rounds, progress)
        for name, found in drains.items():
            figures[f"{name}.messages_per_s"] = round(statistics.median(one.per_s for one in found))
            figures[f"{name}.messages_per_s_range"] = _range([one.per_s for one in found])
            figures[f"{name}.cpu_us_per_message"] = statistics.median(one.cpu_us for one in found)
            figures[f"{name}.cpu_us_range"] = _range([one.cpu_us for one in found])
        progress(f"latency at {_RATE}/s")
        figures |= _latency(parts)
        progress(f"{_ARRAYS * _ARRAY} events waiting")
        figures |= _memory(parts)
        figures["disk.commits_per_s_after"] = round(commits_per_s(parts.owner_dsn))
    return figures | _ratios(drains)


def _ratios(drains: dict[str, list[Drain]]) -> dict[str, Figure]:
    """Return medians of the ratios within each round, since what disturbs a round disturbs everyone in it."""
    ours, figures = drains["ingest"], dict[str, Figure]()
    for name in ("naive", "naive_same_job"):
        ratios = [other.cpu_us / one.cpu_us for one, other in zip(ours, drains[name], strict=True)]
        figures[f"{name}_cpu_to_ingest_cpu"] = statistics.median(ratios)
    pairs = [("ingest", "batched"), ("ingest", "batched_same_job")]
    pairs += [("ingest", "c_client"), ("live.ingest", "live.c_client")]
    for mine, theirs in pairs:
        if theirs in drains:
            ratios = [one.per_s / other.per_s for one, other in zip(drains[mine], drains[theirs], strict=True)]
            name = f"{mine}_to_{theirs.removeprefix('live.')}_throughput"
            figures[name] = statistics.median(ratios)
            figures[f"{name}_range"] = _range(ratios, 2)
    return figures


def _range(values: Sequence[float], digits: int = 0) -> str:
    return f"{min(values):.{digits}f}-{max(values):.{digits}f}"


def _drains(parts: Servers, rounds: int, progress: Progress) -> dict[str, list[Drain]]:
    """Measure in turns, so that a disturbance from outside meets everyone."""
    subjects: dict[str, Callable[[Servers], Drain]] = {
        "naive": partial(_baseline, module="naive", count=_FEW),
        "naive_same_job": partial(_baseline, module="naive_same_job", count=_FEW),
        "batched": partial(_baseline, module="batched_paho", count=_SOME),
        "ingest": partial(_ingest, how=_drain),
        "batched_same_job": partial(_baseline, module="batched_same_job", count=_SOME),
    }
    if shutil.which("mosquitto_sub"):
        subjects["c_client"] = _c_client
        subjects["live.c_client"] = _c_client_live
    subjects["live.ingest"] = partial(_ingest, how=_live)
    drains: dict[str, list[Drain]] = {}
    for number in range(rounds):
        for name, measure in subjects.items():
            drain = measure(parts)
            progress(f"{parts.broker_name} {number + 1}: {name} {drain.per_s:,.0f}/s, {drain.cpu_us:.1f} CPU µs")
            drains.setdefault(name, []).append(drain)
    return drains


def _live(parts: Servers, subject: Subject, count: int, wait: Callable[[], None]) -> Drain:
    """Time messages from when they are published, as fast as the broker takes them."""
    prepared = list(messages(count))
    with Publisher(parts.port, "load", parts.password) as publisher:
        before, started = subject.cpu_seconds(), time.monotonic()
        publisher.publish_all(prepared)
        wait()
    seconds = time.monotonic() - started
    return Drain(count / seconds, (subject.cpu_seconds() - before) / count * 1e6)


def _drain(parts: Servers, subject: Subject, count: int, wait: Callable[[], None]) -> Drain:
    """Let the messages pile up in the broker while the subject is stopped, then time how it takes them."""
    subject.freeze()
    with Publisher(parts.port, "load", parts.password) as publisher:
        publisher.publish_all(messages(count))
    before, started = subject.cpu_seconds(), time.monotonic()
    subject.thaw()
    wait()
    seconds = time.monotonic() - started
    return Drain(count / seconds, (subject.cpu_seconds() - before) / count * 1e6)


def _baseline(parts: Servers, module: str, count: int) -> Drain:
    arguments = [str(parts.port), parts.password, parts.owner_dsn, str(count)]
    with (
        _session(parts, module),
        running([sys.executable, "-m", f"benchmarks.baselines.{module}", *arguments]) as subject,
    ):
        subject.wait_for_line("ready")
        return _drain(parts, subject, count, lambda: subject.wait_for_line("done"))


def _c_client(parts: Servers) -> Drain:
    command = _c_command(parts)
    with _session(parts, "c_client"):
        subprocess.run([*command, "-E"], check=True)
        with Publisher(parts.port, "load", parts.password) as publisher:
            publisher.publish_all(messages(_MANY))
        started = time.monotonic()
        with running([*command, "-C", str(_MANY)]) as subject:
            subject.wait_for_end()
            seconds = time.monotonic() - started
            return Drain(_MANY / seconds, subject.cpu_seconds() / _MANY * 1e6)


def _c_client_live(parts: Servers) -> Drain:
    command = _c_command(parts)
    with _session(parts, "c_client"):
        subprocess.run([*command, "-E"], check=True)
        with running([*command, "-C", str(_MANY)]) as subject:
            return _live(parts, subject, _MANY, subject.wait_for_end)


def _c_command(parts: Servers) -> list[str]:
    command = ["mosquitto_sub", "-p", str(parts.port), "-i", "c_client", "-c", "-q", "1", "-t", "v1/+/+/+/+"]
    return [*command, "-u", "ingest", "-P", parts.password, "-F", ""]


def _ingest(parts: Servers, how: Callable[[Servers, Subject, int, Callable[[], None]], Drain]) -> Drain:
    with _ingest_process(parts) as subject, psycopg.connect(parts.owner_dsn, autocommit=True) as connection:
        expected = _received(connection) + _MANY

        def wait() -> None:
            while _received(connection) < expected:
                time.sleep(_POLL_SECONDS)

        return how(parts, subject, _MANY, wait)


def _latency(parts: Servers) -> dict[str, Figure]:
    """Publish evenly and return milliseconds from there to the device's acknowledgement, which follows the commit."""
    sent: dict[tuple[str, int], float] = {}
    taken: list[float] = []
    with _ingest_process(parts), Publisher(parts.port, "load", parts.password) as publisher:
        publisher.subscribe("v1/+/ack/+")
        started = time.monotonic()
        for number, message in enumerate(messages(round(_RATE * _LATENCY_SECONDS))):
            due = started + number / _RATE
            while (left := due - time.monotonic()) > 0:
                _note(publisher.hear(left), sent, taken)
            header, _ = unpack_header(message.payload)
            sent[header.boot, header.seq] = time.monotonic()
            publisher.publish(message)
        while sent:
            _note(publisher.hear(1), sent, taken)
    cuts = statistics.quantiles(taken, n=100)
    return {"publish_to_ack_p50_ms": cuts[49], "publish_to_ack_p99_ms": cuts[98]}


def _note(arrivals: Sequence[Arrival], sent: dict[tuple[str, int], float], taken: list[float]) -> None:
    now = time.monotonic()
    for arrival in arrivals:
        ack = decode_ack(arrival.payload)
        for first, last in ack.committed:
            taken += [(now - sent.pop((ack.boot, seq))) * 1000 for seq in range(first, last + 1)]


def _memory(parts: Servers) -> dict[str, Figure]:
    """Return the most memory that ingest holds, and how fast it stores events, while a million of them wait."""
    with _ingest_process(parts) as subject, psycopg.connect(parts.owner_dsn, autocommit=True) as connection:
        subject.freeze()
        with Publisher(parts.port, "load", parts.password) as publisher:
            publisher.publish_all(messages(_ARRAYS, _ARRAY))
        before, cpu, started = _received(connection), subject.cpu_seconds(), time.monotonic()
        subject.thaw()
        time.sleep(_ARRAY_SECONDS)
        count, seconds = _received(connection) - before, time.monotonic() - started
        return {
            "ingest.peak_mib": subject.peak_mib(),
            "arrays.events_per_s": round(count / seconds),
            "arrays.cpu_us_per_event": (subject.cpu_seconds() - cpu) / count * 1e6,
        }


@contextmanager
def _ingest_process(parts: Servers) -> Iterator[Subject]:
    environment = {
        "PATH": os.defpath,
        "INGEST_DATABASE_URL": parts.ingest_dsn,
        "INGEST_BROKER_PORT": str(parts.port),
        "INGEST_BROKER_PASSWORD": parts.password,
        "INGEST_CLIENT_ID": "ingest",
    }
    with _session(parts, "ingest"), running(codefence("ingest", "run"), environment) as subject:
        subject.wait_for_line("ingest.connected")
        yield subject


@contextmanager
def _session(parts: Servers, client_id: str) -> Iterator[None]:
    """End a client's session afterwards: the broker would go on filling it."""
    try:
        yield
    finally:
        forget(parts.port, client_id, "ingest", parts.password)


def _received(connection: psycopg.Connection) -> int:
    (count,) = connection.execute(_RECEIVED).fetchone() or (0,)
    return int(count)
