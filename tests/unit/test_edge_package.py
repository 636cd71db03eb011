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
import cli.main, contracts, edge
found = []
for package in (contracts, edge):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
        found.append(module.name)
for command in ("scan", "edge"):
    assert cli.main.main.get_command(None, command) is not None
print(len(found))
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


def test_the_edge_lock_holds_what_the_edge_declares_and_no_server_package() -> None:
    locked = _locked("edge")
    assert _declared("") | _declared("edge") <= locked
    server_only = (_declared("server") | _declared("embedded")) - _declared("edge") - _declared("")
    assert {"psycopg", "fastapi", "uvicorn"} <= server_only
    assert locked & server_only == set()


def test_what_the_server_lock_alone_brings_is_not_needed_to_import_any_module_of_the_edge(tmp_path: Path) -> None:
    # The geofence comes with the package; numpy and shapely, which a device has, are all that a fence needs of it.
    packages = {"ingest", "trace_service", "firmware_sim", "benchmarks"}
    foreign = {name.replace("-", "_") for name in (_locked("server") | _locked("runtime")) - _locked("edge")}
    modules = {"psycopg_pool", "psycopg_c", "multipart", "prometheus_client", "argon2", "frykit", "pkg_resources"}
    program = f"BLOCKED = {packages | foreign | modules!r}\n{_BLOCKED}"
    outcome = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr
    assert int(outcome.stdout) > 40, "every module of contracts and edge was imported"


def test_an_agent_without_a_camera_loads_nothing_that_decodes_pictures(tmp_path: Path) -> None:
    outcome = subprocess.run([sys.executable, "-c", _LIGHT], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr
