"""Whatever bytes come, the decoder accounts for every number and the parser cuts the stream the same way."""

from pathlib import Path

import pytest

from cli.soaking.fuzzing import guided, is_guided, mutated
from cli.soaking.targets import SEEDS, TARGETS, decoder, identifier, parser

INPUTS = 50_000


@pytest.mark.parametrize("name", TARGETS)
def test_mutations_of_valid_input_neither_crash_nor_hang(name: str) -> None:
    found = mutated(name, INPUTS, 1)
    assert found.is_clean, found.outcome
    assert found.inputs == INPUTS


@pytest.mark.skipif(not is_guided(), reason="atheris has no wheel for this machine")
@pytest.mark.parametrize("name", TARGETS)
def test_inputs_found_by_their_coverage_neither_crash_nor_hang(name: str, tmp_path: Path) -> None:
    found = guided(tmp_path, name, INPUTS, 1)
    assert found.is_clean, found.outcome
    assert len(list((tmp_path / "corpus").iterdir())) > 2 * len(SEEDS[name]), "coverage has led nowhere"


def test_a_crash_is_found_and_told_with_its_input() -> None:
    def fragile(data: bytes) -> None:
        assert b"\xff\xff" not in data

    found = mutated("fragile", INPUTS, 1, fragile, SEEDS["decoder"])
    assert not found.is_clean
    assert found.outcome.startswith("AssertionError on b")


def test_a_hang_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(_data: bytes) -> None:
        while True:
            pass

    monkeypatch.setattr("cli.soaking.fuzzing._HANG_SECONDS", 0.2)
    assert mutated("endless", 1, 1, endless, [b"x"]).outcome.startswith("_Hang on b")


def test_every_seed_is_valid() -> None:
    for data in SEEDS["decoder"]:
        decoder(data)
    for data in SEEDS["parser"]:
        parser(data)
    for data in SEEDS["identifier"]:
        identifier(data)
