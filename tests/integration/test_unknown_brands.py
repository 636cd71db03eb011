"""Commands about a brand that there is not: one line that says so, and nothing written."""

import base64

import pytest
from click.testing import CliRunner
from conftest import TestDatabase

from cli.main import main

COMMANDS = (
    ("case", "backfill", "--brand"),
    ("case", "recalibrate", "--brand"),
    ("inspect", "base", "Hangzhou", "--lat", "30", "--lon", "120", "--brand"),
    ("inspect", "plan"),
    ("inspect", "bases"),
    ("replenish", "promotion", "list", "--brand"),
)


@pytest.mark.parametrize("brand", ["nobody", "", "'; DROP", "a\0b"])
def test_a_brand_that_there_is_not_is_named_and_nothing_is_written(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch, brand: str
) -> None:
    monkeypatch.setenv("TRACE_DATABASE_URL", database.trace_dsn)
    monkeypatch.setenv("TRACE_KEY_ENCRYPTION_KEY", base64.b64encode(bytes(32)).decode())
    for group, name, *given in COMMANDS:
        # The brand is an argument of what inspects, before the others, and an option elsewhere.
        said = [brand, *given[:-1]] if given[-1:] == ["--brand"] and group == "inspect" else [*given, brand]
        found = CliRunner().invoke(main, [group, name, *said])
        assert (found.exit_code, "no brand is called" in found.stderr) == (1, True), (name, found.output)
