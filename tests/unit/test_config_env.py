"""What `codefence config env` prints is all that a shell needs for commands beside a running `codefence up`."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.config import config
from cli.device import running_installation
from trace_service.bootstrap import load_settings


def lay_out(var: Path) -> None:
    for name, text in {"postgres/port": "5433", "postgres/password": "it's $HOME", "broker/port": "1883"}.items():
        (var / name).parent.mkdir(parents=True, exist_ok=True)
        (var / name).write_text(text, encoding="ascii")


def test_a_shell_that_takes_the_settings_over_reaches_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(tmp_path)
    printed = CliRunner().invoke(config, ["env", "--var", str(tmp_path)])
    assert printed.exit_code == 0, printed.output
    taken = subprocess.run(["sh", "-c", f"{printed.output}\nenv"], capture_output=True, text=True, check=True, env={})
    for line in taken.stdout.splitlines():
        name, _, value = line.partition("=")
        if name.startswith("TRACE_"):
            monkeypatch.setenv(name, value)
    settings = load_settings()
    assert ":5433/" in settings.database_url.get_secret_value()
    assert settings.owner_url is None
    assert settings.webhook_networks, "a trial receiver on this machine may be told"


def test_a_folder_on_which_nothing_ran_says_what_to_do(tmp_path: Path) -> None:
    refused = CliRunner().invoke(config, ["env", "--var", str(tmp_path)])
    assert refused.exit_code == 1
    assert "codefence up" in refused.output
    assert "export" not in refused.output


def test_up_hands_the_mail_server_on_and_says_where_the_console_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(tmp_path)
    monkeypatch.setenv("TRACE_SMTP_HOST", "mail.example")
    monkeypatch.setenv("TRACE_DATABASE_URL", "postgresql://another")
    (webhooks,) = (
        each
        for each in replace(running_installation(tmp_path), console_port=8081).server_children()
        if each.name == "webhooks"
    )
    assert webhooks.env["TRACE_SMTP_HOST"] == "mail.example"
    assert webhooks.env["TRACE_CONSOLE_URL"] == "http://127.0.0.1:8081"
    assert ":5433/" in webhooks.env["TRACE_DATABASE_URL"]
