"""Mosquitto under the configuration that is deployed, on loopback and with paths of its own."""

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from cli.embedded.files import kept_port, port_answers, write_private
from cli.embedded.process import Child, Running
from contracts.errors import StartError

_DEPLOY: Final = Path(__file__).parents[2] / "deploy"
_PATH: Final = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"


def is_installed() -> bool:
    """Tell whether Mosquitto and the tools that its deployment needs are on this machine."""
    return all(shutil.which(tool, path=_PATH) for tool in ("mosquitto", "mosquitto_passwd", "openssl"))


class Mosquitto:
    """A broker that knows `users`, each with a random password."""

    def __init__(self, folder: Path, users: Iterable[str]) -> None:
        program = shutil.which("mosquitto", path=_PATH)
        if program is None:
            raise StartError("Mosquitto is not on this machine", advice="apt-get install mosquitto")
        self._secrets = folder / "secrets"
        self.passwords: Mapping[str, str] = {user: secrets.token_urlsafe(12) for user in users}
        self._make_secrets()
        self.port = kept_port(folder / "port")
        (folder / "data").mkdir()
        configuration = folder / "mosquitto.conf"
        configuration.write_text(self._adapted(folder), "utf-8")
        child = Child("mosquitto", [program, "-c", str(configuration)], {"PATH": os.defpath}, ready=self._answers)
        self.process = Running(folder, child)

    def start(self) -> int:
        """Start the broker and return its port once it answers."""
        self.process.start()
        self.process.wait_ready()
        return self.port

    def stop(self) -> None:
        """Stop the broker; what it has written stays."""
        self.process.stop()

    def _answers(self) -> bool:
        return port_answers(self.port)

    def _make_secrets(self) -> None:
        environment = {"PATH": _PATH, "CODEFENCE_SECRETS": str(self._secrets)}
        for command in (["make-secrets", "localhost"], ["broker-user", "unused"]):
            subprocess.run([_DEPLOY / command[0], *command[1:]], env=environment, check=True, capture_output=True)
        plain = "".join(f"{user}:{password}\n" for user, password in self.passwords.items())
        write_private(self._secrets / "broker_passwords", plain)
        hashing = ["mosquitto_passwd", "-U", str(self._secrets / "broker_passwords")]
        subprocess.run(hashing, env=environment, check=True, capture_output=True)

    def _adapted(self, folder: Path) -> str:
        text = (_DEPLOY / "mosquitto.conf").read_text("utf-8")
        for deployed, here in {
            "user mosquitto": "user root" if os.geteuid() == 0 else "user mosquitto",
            "/run/secrets/": f"{self._secrets}/",
            "/mosquitto/data/": f"{folder / 'data'}/",
            "listener 8883": f"listener {kept_port(folder / 'tls-port')} 127.0.0.1",
            "listener 8884": f"listener {kept_port(folder / 'mutual-port')} 127.0.0.1",
            "listener 1883": f"listener {self.port} 127.0.0.1",
        }.items():
            text = text.replace(deployed, here)
        return text
