"""`codefence codes parse`: a line in, a JSON object out, whatever the line holds."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from cli.main import main

GTIN = "09506000134352"


def parse(data: bytes) -> list[dict[str, Any]]:
    answer = CliRunner().invoke(main, ["codes", "parse"], input=data)
    assert answer.exit_code == 0, answer.output
    return [json.loads(line) for line in answer.output_bytes.splitlines()]


def test_each_line_gets_its_answer_in_order() -> None:
    found = parse(f"(01){GTIN}(21)S1(17)271231\n\nhttps://a/01/{GTIN}/21/S%2F1\r\n]C1000950600000000000".encode())
    assert found == [
        {
            "input": f"(01){GTIN}(21)S1(17)271231",
            "valid": True,
            "form": "bracketed",
            "elements": [["01", GTIN], ["21", "S1"], ["17", "271231"]],
            "canonical": f"https://id.gs1.org/01/{GTIN}/21/S1?17=271231",
            "errors": [],
        },
        {
            "input": "",
            "valid": False,
            "form": None,
            "elements": [],
            "canonical": None,
            "errors": [
                {"code": "NOT_GS1", "position": 0, "message": "neither a Digital Link nor a GS1 element string"}
            ],
        },
        {
            "input": f"https://a/01/{GTIN}/21/S%2F1",
            "valid": True,
            "form": "digital_link",
            "elements": [["01", GTIN], ["21", "S/1"]],
            "canonical": f"https://id.gs1.org/01/{GTIN}/21/S%2F1",
            "errors": [],
        },
        {
            "input": "]C1000950600000000000",
            "valid": False,
            "form": "scan",
            "elements": [],
            "canonical": None,
            "errors": [{"code": "VALUE_TOO_SHORT", "position": 21, "message": "(00) ends early, after 16 characters"}],
        },
    ]


def test_bytes_that_are_no_text_are_refused_where_they_stand() -> None:
    (found,) = parse("(10)ä".encode() + b"\xff\n")
    assert not found["valid"]
    assert found["input"] == "(10)ä\ufffd"
    assert found["errors"] == [{"code": "UNDECODABLE", "position": 5, "message": "this is no UTF-8"}]


def test_an_endless_line_is_one_answer_and_the_next_line_is_read() -> None:
    first, second = parse(b"(10)" + b"A" * 300_000 + f"\n(01){GTIN}\n".encode())
    assert first["errors"][0]["code"] == "INPUT_TOO_LONG"
    assert second["valid"]


def test_a_scanner_is_answered_before_its_next_code() -> None:
    with subprocess.Popen(
        [Path(sys.executable).parent / "codefence", "codes", "parse"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONUNBUFFERED": ""},
    ) as process:
        assert process.stdin
        assert process.stdout
        for code, valid in ((f"(01){GTIN}\n", True), ("(01)\n", False)):
            process.stdin.write(code.encode())
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["valid"] is valid
        process.stdin.close()
        assert process.wait(300) == 0
