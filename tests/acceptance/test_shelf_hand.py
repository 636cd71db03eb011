"""A hand reaches into a simulated shelf: the page shows the fall; what follows is proposed, approved and told."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from receiving import Answer, Posted, receiving
from running_system import CODEFENCE, System, start, wait_for
from waiting import PATIENCE

from benchmarks.load.stock_page import StockPage, open_page
from cli.device import running_installation
from cli.installation import DEMO_LOGIN
from contracts.webhooks import SIGNATURE_HEADER, TOPIC_HEADER, SignatureError, verify

STORE, GTIN = "S-HANGZHOU-01", "09506000134352"
REORDER = 12
AT_ONCE = 6
Heard = tuple[dict[str, str], bytes]


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    system = start(tmp_path / "var", "--no-attack")
    yield system
    system.stop()
    link = tmp_path / "var" / "postgres"
    if link.is_symlink():
        shutil.rmtree(link.resolve())


def test_goods_taken_by_hand_fall_on_the_page_are_proposed_approved_and_told_to_a_partner(system: System) -> None:
    with _receiver() as (url, heard):
        secret = _trace(system, "webhook", "add", url, "--brand", "qingyuan", "--topic", "proposal.*").strip()
        wait_for(lambda: (_row(system)["quantity"] or 0) > REORDER + AT_ONCE, "the shelf's first figure")
        with open_page(_url(system), DEMO_LOGIN, _password(system), (STORE, GTIN)) as page:
            _empty_below_the_line(system, page)
        wait_for(lambda: (_row(system)["certainty"] or 0) > 0.9, "a figure that is certain again")
        assert _row(system)["seq"], "the figure names the message that it rests on"
        wait_for(lambda: _proposals(system), "the proposal")
        proposal = _proposals(system)[0]
        assert proposal["quantity"] > 0
        _approve_on_the_page(system, proposal["id"])
        wait_for(lambda: _told(heard, "proposal.approved", proposal["id"]), "the partner to hear of it")
    _signed_and_of_this_store(heard, secret, proposal)
    _delivered_cases_are_announced_and_stand_on_the_shelf(system)


def _empty_below_the_line(system: System, page: StockPage) -> None:
    """Take goods a handful at a time, each seen on the live page before the next."""
    left, began = AT_ONCE + REORDER, time.time()
    falls = []
    while left > REORDER - AT_ONCE:
        command = [str(CODEFENCE), "shelf", "take", f"{STORE}/1", str(AT_ONCE), "--var", str(system.var), "--json"]
        taken = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        assert taken["units"] == AT_ONCE
        left = taken["left"]
        # A customer may put one back just then.
        wait_for(lambda most=left + 1: page.shown and page.shown[-1][1] <= most, "the page to show it")  # type: ignore[misc]
        falls.append(page.shown[-1][1])
    assert len(falls) > 1
    assert falls == sorted(falls, reverse=True)
    assert falls[-1] <= REORDER
    assert len([at for at, _ in page.shown if at > began]) >= len(falls), "every look followed an event of the stream"


def _delivered_cases_are_announced_and_stand_on_the_shelf(system: System) -> None:
    wait_for(lambda: _row(system)["coming"], "cases to be shipped to the dealer")
    before = _row(system)["quantity"] or 0
    command = [str(CODEFENCE), "shelf", "deliver", f"{STORE}/1", "2", "--var", str(system.var), "--json"]
    done = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert done["items"] == 6 * len(done["cases"])
    # What customers take meanwhile is less than half of it.
    wait_for(lambda: (_row(system)["quantity"] or 0) > before + done["items"] / 2, "the shelf to rise")
    wait_for(lambda: (_row(system)["ledger"], _row(system)["counted"]) == (done["items"], True), "the books to follow")
    log = (system.var / "log" / "shelf-02.log").read_text("utf-8")
    announced = [int(units) for units in re.findall(rf'"shelf.announced", "gtin": "{GTIN}", "units": (\d+)', log)]
    assert sum(announced) == done["items"]
    doors = "SELECT FROM landing.environment WHERE site = 'S-HANGZHOU-01' AND door_open"
    wait_for(lambda: system.rows(doors), "the door to be told, since whoever reaches in opens it")


def _approve_on_the_page(system: System, number: int) -> None:
    """Do what the button of the proposals' page does."""
    url = _url(system)
    with httpx.Client(base_url=url, timeout=PATIENCE, headers={"Origin": url}) as client:
        login = {"login": DEMO_LOGIN, "password": _password(system), "csrf": _csrf(client.get("/login").text)}
        client.post("/login", data=login)
        listed = client.get("/proposals").text
        assert f'id="proposal-{number}"' in listed
        answer = client.post(f"/proposals/{number}/approve", data={"csrf": _csrf(listed)})
        assert answer.status_code == httpx.codes.SEE_OTHER


def _signed_and_of_this_store(heard: list[Heard], secret: str, proposal: dict[str, Any]) -> None:
    for headers, body in heard:
        verify(secret, body, headers[SIGNATURE_HEADER], time.time())
        with pytest.raises(SignatureError):
            verify(secret, body + b" ", headers[SIGNATURE_HEADER], time.time())
    (told,) = _told(heard, "proposal.approved", proposal["id"])
    assert {key: told[key] for key in ("site", "gtin", "kind", "state", "decided_by")} == {
        "site": STORE, "gtin": GTIN, "kind": "order", "state": "approved", "decided_by": DEMO_LOGIN,
    }  # fmt: skip
    assert told["quantity"] == proposal["quantity"]
    assert _told(heard, "proposal.made", proposal["id"]), "the partner heard of it before it was decided"


def _told(heard: list[Heard], topic: str, number: int) -> list[dict[str, Any]]:
    told = [json.loads(body)["data"]["proposal"] for headers, body in heard if headers[TOPIC_HEADER] == topic]
    return [each for each in told if each["id"] == number]


@contextmanager
def _receiver() -> Iterator[tuple[str, list[Heard]]]:
    """Serve as a partner's address that keeps what comes."""
    heard: list[Heard] = []

    def take(posted: Posted) -> Answer:
        heard.append((posted.headers, posted.body))
        return Answer()

    with receiving(take) as url:
        yield f"{url}/codefence", heard


def _trace(system: System, *arguments: str) -> str:
    installation = replace(running_installation(system.var), console_port=system.port)
    return subprocess.run(
        [CODEFENCE, "trace", *arguments],
        env=installation.trace_environment(),
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    ).stdout


def _csrf(html: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', html)
    assert found
    return found[1]


def _url(system: System) -> str:
    return f"http://127.0.0.1:{system.port}"


def _password(system: System) -> str:
    return (system.var / "secrets" / "demo").read_text("utf-8").strip()


def _row(system: System) -> dict[str, Any]:
    rows = system.get("/stock")["stock"]
    found: dict[str, Any] = next(each for each in rows if (each["site"], each["gtin"]) == (STORE, GTIN))
    return found


def _proposals(system: System) -> list[dict[str, Any]]:
    return [
        each
        for each in system.get("/proposals?state=open")["proposals"]
        if (each["site"], each["gtin"]) == (STORE, GTIN)
    ]
