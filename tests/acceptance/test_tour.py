"""The tour plays on real parts from an empty folder, and its page tells what happened."""

import os
import subprocess
import sys
from pathlib import Path

from cli.touring import world


def test_a_bottle_can_be_followed_from_the_factory_through_five_levels_to_the_consumer(tmp_path: Path) -> None:
    out = tmp_path / "tour"
    command = [os.fspath(Path(sys.executable).with_name("codefence")), "tour", "--out", os.fspath(out)]
    played = subprocess.run(command, capture_output=True, text=True, check=False, timeout=840)
    assert played.returncode == 0, played.stderr
    page = (out / "tour.html").read_text("utf-8")
    assert page.count('<img src="data:image/png;base64,') == 5
    path = world.HEAD
    for level in world.LEVELS:
        path += f" › {level.dealer}"
        assert f"<td>{path}</td>" in page
    assert "已登记的产品" in page
    assert "暂时无法核实" in page
    assert "http://" not in page.replace("http://127.0.0.1", "")
    assert (out / "epcis" / "factory.json").exists()
    assert "Traceback" not in played.stderr
