"""The house rules hold: lint, format, types, import rules, and nothing undocumented."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from cli.config import CLASSES
from cli.main import COMMANDS, main

ROOT = Path(__file__).parents[2]
PACKAGES = ("benchmarks", "cli", "contracts", "edge", "firmware_sim", "geofence", "ingest", "trace_service")
DOCS = "\n".join(path.read_text("utf-8") for path in [*ROOT.glob("docs/**/*.md"), ROOT / "README.md"])
BIN = Path(sys.executable).parent


@pytest.mark.parametrize(
    "command",
    [
        [BIN / "ruff", "check", "."],
        [BIN / "ruff", "format", "--check", "."],
        [BIN / "mypy"],
        [BIN / "lint-imports", "--no-cache"],
    ],
    ids=["ruff check", "ruff format", "mypy strict", "import rules"],
)
def test_the_checkers_find_nothing(command: list[str | Path]) -> None:
    found = subprocess.run([str(part) for part in command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


def test_no_module_or_function_outgrows_its_reader() -> None:
    modules = [
        path for package in PACKAGES for path in (ROOT / package).rglob("*.py") if "node_modules" not in path.parts
    ]
    tests = (ROOT / "tests").rglob("*.py")
    long_modules = [str(path) for path in (*modules, *tests) if path.read_text("utf-8").count("\n") > 400]
    assert long_modules == []
    long_functions = [
        f"{path}:{node.lineno} {node.name}"
        for path in modules
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _lines(node) > 35
    ]
    assert long_functions == []


def _tracked() -> list[str]:
    listing = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True)
    return listing.stdout.split()


def _lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count a function's lines without its decorators and docstring: what one has to follow."""
    first = node.body[0]
    docstring = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    start = node.body[1].lineno if docstring and len(node.body) > 1 else first.lineno
    return (node.end_lineno or start) - start + 1


def _commands() -> list[str]:
    found: list[str] = []

    def visit(command: click.Command, path: str) -> None:
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                child = command.get_command(context, name)
                assert child is not None
                visit(child, f"{path} {name}")
        else:
            found.append(path)

    visit(main, "codefence")
    return found


def test_every_command_is_documented_with_an_example() -> None:
    commands = _commands()
    assert len(commands) > len(COMMANDS)
    missing = [command for command in commands if command not in DOCS]
    assert missing == []


def test_every_command_shows_an_example_of_itself() -> None:
    lacking = []
    for command in _commands():
        answer = CliRunner().invoke(main, [*command.split()[1:], "--help"], prog_name="codefence")
        _, _, after_usage = answer.output.partition("\n")
        if command not in after_usage:
            lacking.append(command)
    assert lacking == []


def test_every_setting_is_documented() -> None:
    names = [
        f"{class_.model_config.get('env_prefix', '')}{name}".upper()
        for class_ in CLASSES
        for name in class_.model_fields
    ]
    undocumented = [name for name in names if f"`{name}`" not in DOCS]
    assert undocumented == []


def test_every_metric_is_documented() -> None:
    source = "\n".join((ROOT / name).read_text("utf-8") for name in _tracked() if name.startswith(PACKAGES))
    names = re.findall(r'(?:Counter|Gauge|Histogram)\(\s*"([a-z0-9_]+)"', source)
    assert names
    assert [name for name in names if f"`{name}" not in DOCS] == []


def test_every_link_between_documents_leads_somewhere() -> None:
    pages = [ROOT / "README.md", ROOT / "README.zh-CN.md", *ROOT.glob("docs/**/*.md")]
    links = [
        (page.relative_to(ROOT), target)
        for page in pages
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    ]
    assert len(links) > 30
    assert [(str(page), target) for page, target in links if not (ROOT / page.parent / target).exists()] == []


def test_every_dependency_has_its_reason() -> None:
    declared = re.findall(
        r'^  "([A-Za-z0-9_-]+)(?:\[[^\]]*\])?[>=]', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE
    )
    reasons = (ROOT / "docs" / "dependencies.md").read_text("utf-8")
    assert [name for name in set(declared) if f"| {name} |" not in reasons] == []
