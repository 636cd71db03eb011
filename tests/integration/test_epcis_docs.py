"""The examples of the guide run as they stand."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import TestDatabase
from epcis_parts import serving

GUIDE = Path(__file__).parents[2] / "docs" / "epcis.md"


def test_the_examples_of_the_guide_work(database: TestDatabase, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl on this machine")
    blocks = [block for block in re.findall(r"```sh\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL) if "curl" in block]
    assert len(blocks) == 3
    with serving(database) as interface:
        token = interface.client.headers["Authorization"].removeprefix("Bearer ")
        environment = {**os.environ, "TOKEN": token, "EPCIS": str(interface.client.base_url).rstrip("/")}
        outputs = [
            subprocess.run(
                ["bash", "-euo", "pipefail", "-c", block.replace("curl -sS", "curl -sS --fail-with-body")],
                env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300,
            )
            for block in blocks
        ]  # fmt: skip
    assert [each.returncode for each in outputs] == [0, 0, 0], [each.stdout + each.stderr for each in outputs]
    assert '"success":true' in outputs[0].stdout
    assert outputs[1].stdout.count('"eventID"') == 3
    assert "urn:epc:id:sgtin:9506000.013435.DEMO1" in outputs[1].stdout
    assert '"subscriptionID"' in outputs[2].stdout
