import json
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from trace_service.web import build_assets
from trace_service.web.build_assets import BUILD, ENTRIES, SOURCES, AssetsError, asset_names, ensure_assets, is_current

ROOT = Path(__file__).parents[2]


def test_every_entry_is_built_under_a_name_that_holds_its_digest() -> None:
    ensure_assets(lambda _: None)
    names = asset_names()
    assert set(names) == set(ENTRIES)
    for entry, name in names.items():
        assert name != entry
        assert (BUILD / name).stat().st_size > 1000


def test_assets_are_stale_once_a_source_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    ensure_assets(lambda _: None)
    assert is_current()
    monkeypatch.setattr(build_assets, "_digest", lambda: "another")
    assert not is_current()


def test_missing_assets_are_an_error_with_a_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(build_assets, "BUILD", tmp_path / "build")
    with pytest.raises(AssetsError) as caught:
        asset_names()
    assert "codefence up" in caught.value.advice


def test_the_lock_names_no_host_and_pins_every_package() -> None:
    lock = json.loads((SOURCES / "package-lock.json").read_text("utf-8"))
    assert "://" not in json.dumps(lock)
    assert all(entry["integrity"].startswith("sha512-") for name, entry in lock["packages"].items() if name)


def test_the_wheel_holds_the_built_assets_and_none_of_their_packages(tmp_path: Path) -> None:
    ensure_assets(lambda _: None)
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    names = set(zipfile.ZipFile(wheel).namelist())
    built = {f"trace_service/web/static/build/{name}" for name in [*asset_names().values(), "manifest.json"]}
    wanted = built | {"trace_service/web/templates/alert.html", "trace_service/web/i18n/zh.json"}
    assert wanted <= names
    assert not [name for name in names if "node_modules" in name]


def test_a_wheel_without_assets_is_refused(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "hatch_build.py", "README.md"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    with pytest.raises(RuntimeError, match="ensure_assets"):
        list(WheelBuilder(str(tmp_path)).build(directory=str(tmp_path / "dist"), versions=["standard"]))
