"""Every topic that is told can be subscribed to and stands in the docs; nothing else is taken."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from contracts.errors import ConfigurationError
from geofence.trips.episodes import Action
from trace_service.cli.subscriptions import webhook
from trace_service.orders.model import State
from trace_service.webhooks.topics import FAMILIES, WORDED, require_told

ROOT = Path(__file__).parents[2]
TOPICS = {f"{family}.{name}" for family, names in FAMILIES.items() for name in names}


def test_whatever_the_code_tells_of_is_a_topic() -> None:
    told = {f"order.{state}" for state in State if state is not State.OPEN} | {f"trip.{action}" for action in Action}
    for name in ("cases/history.py", "cases/days.py", "orders/service.py", "orders/notes.py"):
        source = (ROOT / "trace_service" / name).read_text("utf-8")
        told |= set(re.findall(r'"((?:order|case|digest)\.[a-z_]+)"', source))
    assert told == {topic for topic in TOPICS if not topic.startswith(("alert.", "proposal."))}


def test_the_page_names_every_topic_and_no_other() -> None:
    table = (ROOT / "docs/webhooks.md").read_text("utf-8").split("| topic |")[1].split("\n\n")[0]
    named = {topic for row in table.splitlines() for topic in re.findall(r"`([a-z]+\.[a-z_]+)`", row.split("|")[1])}
    assert named == TOPICS


@pytest.mark.parametrize(
    "topic", ["propsal.*", "proposal.mad", "epcis.*", "order.created", "order", "", "*.*", "order.*.x"]
)
def test_nobody_waits_for_what_is_never_told(topic: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        require_told([topic])
    assert "There are " in refused.value.advice


def test_robots_and_mail_are_for_what_there_are_words_for() -> None:
    require_told(["case.*", "case.opened", "digest.daily", "*"], WORDED)
    with pytest.raises(ConfigurationError) as refused:
        require_told(["proposal.*"], WORDED)
    assert refused.value.advice == "There are case.*, digest.* and *."


@pytest.mark.parametrize(
    ("form", "secret", "words"),
    [("wecom", "s", "only robots of dingtalk and feishu have one"), ("codefence", "s", "only robots of"),
     ("feishu", " \n", "the file is empty")],
)  # fmt: skip
def test_a_secret_that_would_sign_nothing_is_refused(tmp_path: Path, form: str, secret: str, words: str) -> None:
    (tmp_path / "secret").write_text(secret, "utf-8")
    wanted = ["add", "https://example.com/robot", "--brand", "b", "--topic", "case.*", "--format", form]
    refused = CliRunner().invoke(webhook, [*wanted, "--robot-secret", str(tmp_path / "secret")])
    assert refused.exit_code == 2
    assert words in refused.output
