import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
# What a device must never need: databases, web servers, brokers, and the packages of ours that run on the server.
_BLOCKED = """
import importlib, pkgutil, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"a device has no {name}", name=name)

sys.meta_path.insert(0, Blocked())
"""
_EVERY_MODULE = """
import contracts, edge
found = []
for package in (contracts, edge):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
        found.append(module.name)
print(len(found))
"""
_EVERY_COMMAND = """
import cli.main
for name, entry in cli.main.COMMANDS.items():
    if entry.extra == EXTRA:
        assert cli.main.main.get_command(None, name) is not None
        print(name)
"""
_LIGHT = """
import sys
import edge.agent_cli, edge.station.sources
from edge.settings import StationSettings
from pathlib import Path
settings = StationSettings(device="d", site="s", data=Path("/nowhere"), source="serial:/dev/null")
edge.station.sources.open_source(settings)
heavy = {"cv2", "numpy", "PIL", "zxingcpp", "pyzbar", "shapely", "watchfiles"} & set(sys.modules)
assert not heavy, heavy
"""


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _declared(extra: str) -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lines = project["optional-dependencies"][extra] if extra else project["dependencies"]
    return {_canonical(re.split(r"[\[>=<; ]", line)[0]) for line in lines}


def _locked(name: str) -> set[str]:
    lines = (ROOT / "locks" / f"{name}.lock").read_text("utf-8").splitlines()
    return {_canonical(line.split("==")[0]) for line in lines if "==" in line and not line.startswith((" ", "#"))}


def _on_a_device(without: set[str], program: str, folder: Path) -> str:
    """Return what a program prints where nothing but the edge's lock is installed, nor certain packages of ours."""
    foreign = {name.replace("-", "_") for name in (_locked("server") | _locked("runtime")) - _locked("edge")}
    modules = {"psycopg_pool", "psycopg_c", "multipart", "prometheus_client", "argon2", "frykit", "pkg_resources"}
    program = f"BLOCKED = {without | foreign | modules!r}\n{_BLOCKED}{program}"
    outcome = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr
    return outcome.stdout


def test_the_edge_lock_holds_what_the_edge_declares_and_no_server_package() -> None:
    locked = _locked("edge")
    assert _declared("") | _declared("edge") <= locked
    server_only = (_declared("server") | _declared("embedded")) - _declared("edge") - _declared("")
    assert {"psycopg", "fastapi", "uvicorn"} <= server_only
    assert locked & server_only == set()


def test_what_the_server_lock_alone_brings_is_not_needed_to_import_any_module_of_the_edge(tmp_path: Path) -> None:
    # The geofence comes with the package; numpy and shapely, which a device has, are all that a fence needs of it.
    packages = {"ingest", "trace_service", "firmware_sim", "benchmarks"}
    assert int(_on_a_device(packages, _EVERY_MODULE, tmp_path)) > 40, "every module of contracts and edge was imported"


def test_every_command_that_the_edge_is_said_to_be_enough_for_is_there_with_its_packages_alone(tmp_path: Path) -> None:
    # Packages of ours come with every installation.
    program = f"EXTRA = 'edge'\n{_EVERY_COMMAND}"
    assert _on_a_device(set(), program, tmp_path).split() == ["scan", "edge", "shelf", "fence"]


def test_every_command_that_a_server_is_said_to_be_enough_for_is_there_with_its_packages_alone(tmp_path: Path) -> None:
    # Its image has the server's lock: none of what `codefence up` embeds, and nothing that reads pictures.
    foreign = {name.replace("-", "_") for name in _locked("runtime") - _locked("server")}
    modules = {"cv2", "zxingcpp", "serial"}
    program = f"BLOCKED = {foreign | modules!r}\n{_BLOCKED}EXTRA = 'server'\n{_EVERY_COMMAND}"
    program += "from click.testing import CliRunner\nprint(CliRunner().invoke(cli.main.main, ['config', 'env']).output)"
    outcome = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr
    assert {"config", "ingest", "trace", "case", "backtest"} <= set(outcome.stdout.split())
    assert "codefence[embedded]" in outcome.stdout


def test_an_agent_without_a_camera_loads_nothing_that_decodes_pictures(tmp_path: Path) -> None:
    outcome = subprocess.run([sys.executable, "-c", _LIGHT], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr
