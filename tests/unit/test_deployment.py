"""The compose file fits the settings, the secrets and the documentation, and gives no container more than it needs."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from pydantic import SecretStr
from pydantic_settings import BaseSettings

from cli.config import CLASSES
from cli.main import main
from contracts.topics import PARTITIONS
from edge.settings import StationSettings
from ingest.settings import IngestSettings
from trace_service.settings import TraceSettings

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text("utf-8")
COMPOSE = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("codefence-")}
SETTINGS: dict[str, type[BaseSettings]] = {"trace": TraceSettings, "ingest": IngestSettings, "edge": StationSettings}
DOCS = (ROOT / "docs" / "deployment.md").read_text("utf-8")
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text("utf-8")
KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


def _secrets(service: dict[str, Any]) -> dict[str, str]:
    """Return the names under which a service finds its secrets, each with the secret's own name."""
    pairs = [each if isinstance(each, dict) else {"source": each} for each in service.get("secrets", [])]
    return {pair.get("target", pair["source"]): pair["source"] for pair in pairs}


def _fields() -> Iterator[tuple[str, Any]]:
    for class_ in CLASSES:
        for name, field in class_.model_fields.items():
            yield f"{class_.model_config.get('env_prefix', '')}{name}".upper(), field


def _filled(value: str) -> str:
    """Return a variable's value as compose gives it where only what has no default is set."""
    return re.sub(r"\$\{\w+:([?-])([^}]*)\}", lambda found: found[2] if found[1] == "-" else "id.example.com", value)


def _compose_command() -> list[str]:
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    pytest.skip("docker-compose is absent: apt-get install docker-compose")


def _compose(**environment: str) -> subprocess.CompletedProcess[str]:
    command = [*_compose_command(), "--file", str(ROOT / "docker-compose.yml"), "config", "--quiet"]
    given = {"PATH": "/usr/bin:/bin:/usr/local/bin", **environment}
    return subprocess.run(command, cwd=ROOT, env=given, capture_output=True, text=True, check=False)


def test_compose_accepts_the_file() -> None:
    checked = _compose(CODEFENCE_LABEL_HOST="id.example.com")
    assert checked.returncode == 0, checked.stderr


def test_compose_asks_for_the_host_on_the_labels_because_it_cannot_be_changed_later() -> None:
    checked = _compose()
    assert checked.returncode != 0
    assert "the host in the codes on your labels" in checked.stderr


def test_every_variable_is_a_setting_and_none_is_a_secret() -> None:
    fields = dict(_fields())
    given = {variable for service in OURS.values() for variable in service.get("environment", {})}
    assert given
    assert given - fields.keys() == set()
    assert [name for name in given if "SecretStr" in str(fields[name].annotation)] == []


@pytest.mark.parametrize("name", [name for name, service in OURS.items() if service["command"][0] in SETTINGS])
def test_each_process_finds_its_settings_in_variables_and_secret_files(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = OURS[name]
    class_ = SETTINGS[service["command"][0]]
    known = {f"{class_.model_config.get('env_prefix', '')}{field}".lower(): field for field in class_.model_fields}
    for target in _secrets(service):
        (tmp_path / target).write_text(f"{KEY}\n", "ascii")
    for variable, value in service.get("environment", {}).items():
        assert isinstance(value, str)
        monkeypatch.setenv(variable, _filled(value))
    settings = class_(_secrets_dir=tmp_path)
    for target in _secrets(service):
        used_by_command = f"/run/secrets/{target}" in service["command"]
        assert used_by_command or getattr(settings, known[target]) == SecretStr(KEY)


@pytest.mark.parametrize("name", OURS)
def test_each_command_exists(name: str) -> None:
    command: click.Command = main
    for word in SERVICES[name]["command"]:
        if not isinstance(command, click.Group):
            break
        found = command.get_command(click.Context(command), word)
        assert found is not None, word
        command = found
    assert not isinstance(command, click.Group)


def test_the_ingest_workers_share_every_partition_and_each_is_a_user_of_its_own() -> None:
    workers = {name: service["environment"] for name, service in OURS.items() if service["command"][0] == "ingest"}
    assert len(workers) == 2
    acl = (ROOT / "deploy" / "mosquitto.acl").read_text("utf-8")
    shares: list[int] = []
    for name, variables in workers.items():
        assert variables["INGEST_BROKER_USER"] == variables["INGEST_CLIENT_ID"] == name
        assert f"\nuser {name}\n" in acl
        own = {"source": f"{name.replace('-', '_')}_broker_password", "target": "ingest_broker_password"}
        assert own in OURS[name]["secrets"]
        settings = IngestSettings(
            database_url=SecretStr(""), broker_password=SecretStr(""), partitions=variables["INGEST_PARTITIONS"]
        )
        shares += settings.partitions
        assert f"\nuser {variables['INGEST_ORDERS_USER']}\n" in acl
    assert sorted(shares) == list(range(PARTITIONS))


def test_every_secret_is_a_file_used_and_documented() -> None:
    used = {source for service in SERVICES.values() for source in _secrets(service).values()}
    assert used == COMPOSE["secrets"].keys()
    for name, secret in COMPOSE["secrets"].items():
        assert secret["file"].startswith("./secrets/"), name
        assert f"`{secret['file'].removeprefix('./')}`" in DOCS, name
    listed = subprocess.run(["git", "check-ignore", "secrets/any"], cwd=ROOT, capture_output=True, check=False)
    assert listed.returncode == 0, "secrets must not be committed by accident"


def test_who_judges_positions_shares_an_index_in_a_volume_of_its_own() -> None:
    sharing = {name: each for name, each in OURS.items() if "TRACE_INDEX_FOLDER" in each.get("environment", {})}
    assert sharing.keys() == {"worker", "console"}
    for service in sharing.values():
        (volume,) = service["volumes"]
        source, _, target = volume.partition(":")
        assert source in COMPOSE["volumes"]
        assert service["environment"]["TRACE_INDEX_FOLDER"].startswith(f"{target}/")
        # An empty volume takes over the owner of the folder in the image.
        assert f"install -d -o codefence -g codefence {target}\n" in DOCKERFILE


def test_only_migrations_get_the_owner_of_the_schema() -> None:
    owner = {"trace_owner_url", "trace_ingest_password", "trace_trace_password", "database_owner_password"}
    holders = {name for name, service in SERVICES.items() if owner & set(_secrets(service).values())}
    assert holders == {"migrate", "database"}


def test_no_password_stands_in_the_file() -> None:
    secret = re.compile("(?i)password|secret|token|_key|_url")
    given = {name: value for service in SERVICES.values() for name, value in service.get("environment", {}).items()}
    assert {name: value for name, value in given.items() if secret.search(name)} == {
        "POSTGRES_PASSWORD_FILE": "/run/secrets/database_owner_password"
    }
    assert re.search(r"://[^/\s]*@", TEXT) is None, "no URL holds a password"


@pytest.mark.parametrize("name", SERVICES)
def test_containers_are_hardened_and_bounded(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert int(service["user"].split(":")[0]) > 0
    assert {"mem_limit", "cpus", "pids_limit"} <= service.keys()


def test_foreign_images_are_pinned_by_tag_and_digest() -> None:
    pinned = re.compile(r"[a-z/-]+:\d[\w.-]+@sha256:[0-9a-f]{64}")
    images = [service["image"] for name, service in SERVICES.items() if name not in OURS]
    images += re.findall(r"^FROM ((?:\S*[/:])\S*) ", DOCKERFILE, re.MULTILINE)
    assert len(images) == 3
    assert [image for image in images if pinned.fullmatch(image) is None] == []
    assert SERVICES["broker"]["image"] in (ROOT / "deploy" / "broker-user").read_text("utf-8")


def test_the_outside_reaches_the_broker_by_tls_and_the_console_through_a_proxy_only() -> None:
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert ports == {"broker": ["8883:8883", "8884:8884"], "console": ["127.0.0.1:8080:8080"]}
    configuration = (ROOT / "deploy" / "mosquitto.conf").read_text("utf-8")
    tls, mutual, plain = configuration.split("\nlistener ")[1:]
    assert tls.startswith("8883")
    assert "certfile" in tls
    assert mutual.startswith("8884")
    assert {"require_certificate true", "use_identity_as_username true"} <= set(mutual.splitlines())
    assert "crlfile" in mutual
    assert plain.startswith("1883")
    assert SERVICES["console"]["environment"]["TRACE_HTTPS"] == "true"


def test_the_console_believes_the_gateway_of_its_published_port_and_nobody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (network,) = COMPOSE["networks"]["pages"]["ipam"]["config"]
    for variable, value in SERVICES["console"]["environment"].items():
        monkeypatch.setenv(variable, _filled(value))
    settings = TraceSettings(database_url=SecretStr(""), key_encryption_key=SecretStr(KEY))
    assert settings.trusted_proxies == (IPv4Network(network["gateway"]),)
    assert settings.trusted_proxies[0].subnet_of(IPv4Network(network["subnet"]))
    assert "CODEFENCE_TRUSTED_PROXIES" in DOCS
    assert network["subnet"] in DOCS


def test_images_install_only_what_the_locks_name() -> None:
    installs = re.findall(r"pip (?:install|wheel) [^\n]*", DOCKERFILE)
    assert len(installs) >= 5
    assert [line for line in installs if "--require-hashes" not in line and "--no-index" not in line] == []
    for lock in re.findall(r"locks/\w+\.lock", DOCKERFILE):
        text = (ROOT / lock).read_text("utf-8")
        assert text.count("--hash=sha256:") >= len(re.findall(r"^[a-z0-9-]+==", text, re.MULTILINE)) > 0


@pytest.mark.parametrize("lock", ["server", "edge", "build"])
def test_small_locks_agree_with_the_large_one(lock: str) -> None:
    def pins(name: str) -> set[tuple[str, str]]:
        text = (ROOT / "locks" / f"{name}.lock").read_text("utf-8")
        return set(re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.MULTILINE))

    assert pins(lock)
    assert pins(lock) <= pins("runtime")


def test_the_build_sees_every_package_and_no_secret() -> None:
    ignore = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    packages = re.findall(r"^packages = \[(.*)\]$", (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)[0]
    shown = {line[1:] for line in ignore if line.startswith("!")}
    assert ignore[1] == "*"
    assert {name.strip('" ') for name in packages.split(",")} <= shown
    hooks = re.findall(r'^path = "(\w+\.py)"$', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    assert set(hooks) <= shown
    assert not {name for name in shown if "secrets" in name or name == "var"}
