from pathlib import Path

import click
import pytest

from ingest.cli.group import ingest
from ingest.metrics import Metrics
from ingest.settings import IngestSettings

PAGE = (Path(__file__).parents[2] / "docs" / "ingest.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(IngestSettings.model_fields))
def test_every_setting_is_documented(name: str) -> None:
    assert f"`INGEST_{name.upper()}`" in PAGE


@pytest.mark.parametrize("family", list(Metrics().registry.collect()), ids=lambda family: family.name)
def test_every_metric_is_documented(family: object) -> None:
    name = getattr(family, "name", "")
    assert f"`{name}`" in PAGE


def test_every_command_is_documented() -> None:
    letters = ingest.commands["dead-letters"]
    assert isinstance(letters, click.Group)
    for command in ("ingest run", *(f"dead-letters {name}" for name in letters.commands)):
        assert command in PAGE
