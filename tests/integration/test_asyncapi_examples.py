"""The integrator's page: its document is current and its examples run against a real broker and ingest."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from conftest import TestBroker, TestDatabase
from ingest_parts import SITE, RunningWorker, query, register

from contracts.asyncapi import document, encoded
from contracts.messages import event_types
from contracts.topics import Kind, ack_topic, command_topic, event_topic, partition

DOCS = Path(__file__).parents[2] / "docs"
DEVICE = "my-program"
HAS_MOSQUITTO = shutil.which("mosquitto_pub") is not None and shutil.which("mosquitto_sub") is not None


def test_the_committed_document_is_the_one_that_the_contracts_make() -> None:
    remedy = "python -m contracts.asyncapi > docs/asyncapi.json"
    assert (DOCS / "asyncapi.json").read_bytes() == encoded(), remedy


def references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for name, part in value.items():
            if name == "$ref":
                yield part
            else:
                yield from references(part)
    elif isinstance(value, list):
        for part in value:
            yield from references(part)


def test_every_reference_leads_somewhere_and_nothing_is_left_over() -> None:
    whole = json.loads(encoded())
    used = set(references(whole))
    assert used
    for reference in used:
        part = whole
        for name in reference.removeprefix("#/").split("/"):
            part = part[name]
    kept = {f"#/components/{section}/{name}" for section, parts in whole["components"].items() for name in parts}
    assert kept - used == set()
    assert {"asyncapi", "info", "channels", "operations"} <= whole.keys()
    assert all(operation["action"] in {"send", "receive"} for operation in whole["operations"].values())


def test_addresses_are_those_that_devices_and_ingest_use() -> None:
    channels = document()["channels"]
    names = {"{site}": SITE, "{device}": DEVICE, "{partition}": str(partition(DEVICE))}

    def address(channel: str) -> str:
        return re.sub(r"\{\w+\}", lambda match: names[match[0]], channels[channel]["address"])

    assert [address(kind.value) for kind in Kind] == [event_topic(SITE, DEVICE, kind) for kind in Kind]
    assert (address("ack"), address("command")) == (ack_topic(SITE, DEVICE), command_topic(SITE, DEVICE))


def test_every_field_of_every_event_is_described_and_no_pattern_is_pythons_own() -> None:
    schemas = document()["components"]["schemas"]
    for type_ in event_types().values():
        assert set(schemas[type_.__name__]["properties"]) == set(type_.__struct_fields__)
    assert "\\Z" not in encoded().decode()
    assert "prefixItems" not in encoded().decode()


@pytest.fixture
def broker(start_broker: Callable[[Mapping[str, str]], TestBroker]) -> TestBroker:
    return start_broker({DEVICE: SITE})


def example(language: str, broker: TestBroker) -> str:
    """Return the page's example with this broker's address and password."""
    page = (DOCS / "integrators.md").read_text("utf-8")
    (code,) = re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)
    assert len([line for line in code.splitlines() if line]) <= 15
    for shown, real in (("1883", str(broker.port)), ("its password", broker.passwords[DEVICE])):
        assert code.count(shown) == 1
        code = code.replace(shown, real)
    return str(code)


@pytest.mark.parametrize(
    ("language", "program", "code"),
    [
        ("python", [sys.executable, "-W", "error", "-c"], "HELLO-1"),
        pytest.param(
            "sh",
            ["sh", "-euc"],
            "HELLO-2",
            marks=pytest.mark.skipif(not HAS_MOSQUITTO, reason="apt-get install mosquitto-clients"),
        ),
    ],
)
def test_an_example_gets_its_acknowledgement_and_its_scan_is_stored(
    database: TestDatabase, broker: TestBroker, language: str, program: list[str], code: str
) -> None:
    register(database.owner_dsn, {DEVICE: SITE})
    with RunningWorker(database, broker):
        done = subprocess.run(
            [*program, example(language, broker)],
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["committed"] == [[1, 1]]
    assert query(database.owner_dsn, "SELECT code, symbology FROM landing.scan") == [(code, "datamatrix")]
