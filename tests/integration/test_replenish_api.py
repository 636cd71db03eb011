"""What purchasing systems and people do with proposals: feed, decisions, tables, receipts."""

import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asking
import httpx
import psycopg
import pytest
from conftest import TestDatabase
from console_world import BRAND, LOGIN, PASSWORD, Site, partner
from openpyxl import load_workbook
from test_console_pages import log_in
from waiting import wait_for

from trace_service.domain.events import Event, Source, Step
from trace_service.processing.capture import capture
from trace_service.store.connection import connect
from trace_service.tokens import add_token


@pytest.fixture
def erp(site: Site) -> Iterator[httpx.Client]:
    with partner(site, "replenish", "/replenishment") as client:
        yield client


def test_a_purchasing_system_reads_decides_and_is_told_only_what_changed_since(erp: httpx.Client, site: Site) -> None:
    first = erp.get("/proposals", params={"state": "open"}).json()
    (proposal,) = first["proposals"]
    assert (proposal["kind"], proposal["quantity"]) == ("order", 36)
    # While any transaction of before still runs in the database, what it might come before is told again.
    wait_for(lambda: erp.get("/proposals", params=read(erp)).json() == {"proposals": [], "after": None})
    path = f"/proposals/{site.world.proposal}/decision"
    assert erp.post(path, json={"decision": "approve", "quantity": 24}).status_code == 422
    assert erp.post(path, json={"decision": "approve", "quantity": 0, "code": "too_much"}).status_code == 422
    decided = erp.post(path, json={"decision": "approve", "quantity": 24, "code": "too_much"}).json()
    assert (decided["state"], decided["quantity"], decided["proposed"]) == ("approved", 24, 36)
    assert decided["decided_by"] == "api:erp"
    again = erp.post(path, json={"decision": "reject"})
    assert (again.status_code, again.json()["code"]) == (409, "STATE_CONFLICT")


def read(erp: httpx.Client) -> dict[str, str]:
    """Return how to ask for what changes from now on."""
    after = erp.get("/proposals").json()["after"]
    return {} if after is None else {"after": after}


def test_a_reader_misses_nothing_whatever_changes_again_or_commits_late(
    erp: httpx.Client, database: TestDatabase
) -> None:
    copy = (
        "INSERT INTO trace.proposal SELECT (jsonb_populate_record(proposal, jsonb_build_object('id',"
        " nextval(pg_get_serial_sequence('trace.proposal', 'id')), 'kind', 'count', 'changed',"
        " pg_current_xact_id()::text))).* FROM trace.proposal WHERE kind = 'order' RETURNING id"
    )
    touch = "UPDATE trace.proposal SET updated_at = clock_timestamp() WHERE id = %s"
    order = erp.get("/proposals").json()["proposals"][0]["id"]
    with psycopg.connect(database.owner_dsn, autocommit=True) as owner, psycopg.connect(database.owner_dsn) as slow:
        wait_for(lambda: read(erp))
        cursor = read(erp)
        slow.execute(touch.replace("%s", str(order)))
        other = owner.execute(copy.replace("SELECT (", "OVERRIDING SYSTEM VALUE SELECT (")).fetchone()
        assert other is not None
        told = erp.get("/proposals", params=cursor).json()
        assert [each["id"] for each in told["proposals"]] == [other[0]]
        assert told["after"] is None, "who asks on until there is nothing new would be told the same for ever"
        slow.commit()
        later = erp.get("/proposals", params=cursor).json()
        assert [each["id"] for each in later["proposals"]] == [order, other[0]], "the slow one came after"
        # The last that was read changes again, after another one did.
        cursor = read(erp)
        owner.execute(touch, [order])
        owner.execute(touch, [other[0]])
        again = erp.get("/proposals", params=cursor).json()
        assert [each["id"] for each in again["proposals"]] == [order, other[0]]
    assert erp.get("/proposals", params={"after": "1"}).status_code == 422
    ahead = erp.get("/proposals", params={"after": f"{10**18 - 1}.1"}).json()
    assert len(ahead["proposals"]) == 2, "the cursor is of a database that this one was restored from"


def test_a_token_for_something_else_opens_nothing(site: Site, database: TestDatabase) -> None:
    with connect(database.trace_dsn, "test") as connection:
        token = add_token(connection, BRAND, "wms", ["orders"], timedelta(days=1))
    answer = asking.get(f"{site.url}/api/v1/replenishment/proposals", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["code"]) == (403, "SCOPE_MISSING")


def test_receipts_of_an_approved_order_are_an_epcis_document(
    erp: httpx.Client, site: Site, database: TestDatabase
) -> None:
    path = f"/proposals/{site.world.proposal}"
    assert erp.get(f"{path}/receipts").status_code == 409
    erp.post(f"{path}/decision", json={"decision": "approve"})
    document = erp.get(f"{path}/receipts").json()
    assert document["type"] == "EPCISQueryDocument"
    assert document["epcisBody"]["queryResults"]["resultsBody"]["eventList"] == []
    store = erp.get("/proposals").json()["proposals"][0]["site"]
    unit = site.world.cases[0]
    source = Source("door", uuid4(), 1)
    with connect(database.trace_dsn, "test") as connection, connection.transaction():
        capture(connection, BRAND, [Event(unit, Step.RECEIVE, store, datetime.now(UTC) + timedelta(seconds=1), source)])
    document = erp.get(f"{path}/receipts").json()
    (event,) = document["epcisBody"]["queryResults"]["resultsBody"]["eventList"]
    assert event["bizStep"] == "receiving"
    assert unit in event["epcList"][0]


def test_tables_hold_the_same_as_csv_and_excel(erp: httpx.Client) -> None:
    text = erp.get("/proposals/export", params={"state": "open", "format": "csv"})
    (row,) = csv.DictReader(io.StringIO(text.content.decode("utf-8-sig")))
    assert (row["kind"], row["quantity"], row["reason"]) == ("order", "36", "below_reorder")
    assert len(row["gtin"]) == 14
    book = load_workbook(io.BytesIO(erp.get("/proposals/export", params={"state": "open", "format": "xlsx"}).content))
    head, values = book["proposals"].iter_rows(values_only=True)
    cells = dict(zip(head, values, strict=True))
    assert cells["gtin"] == row["gtin"]
    assert cells["quantity"] == 36, "a planner adds them up"
    assert cells["need_by"].date().isoformat() == row["need_by"]


def test_a_person_approves_another_quantity_and_says_why(site: Site) -> None:
    with asking.Client(base_url=site.url, headers={"Origin": site.url}) as browser:
        assert log_in(browser, LOGIN, PASSWORD).status_code == 303
        page = browser.get("/proposals").text
        found = re.search(r'name="csrf" value="([^"]+)"', page)
        assert found is not None
        path = f"/proposals/{site.world.proposal}/override"
        form = {"csrf": found[1], "decision": "approve", "quantity": "48", "code": "promotion", "note": "<b>端午\x02"}
        row = browser.post(path, data=form, headers={"HX-Request": "true"}).text
        assert "48" in row
        assert "原建议 36 件" in row
        assert "&lt;b&gt;端午" in row
        table = browser.get("/proposals/export", params={"state": "approved"}).content.decode("utf-8-sig")
        assert "promotion" in table
        book = load_workbook(io.BytesIO(browser.get("/proposals/export?state=approved&form=xlsx").content))
        assert "<b>端午" in list(book["proposals"].values)[1], "what no workbook can hold is left out of it"


def test_nobody_approves_another_quantity_than_was_seen(erp: httpx.Client, site: Site, database: TestDatabase) -> None:
    number = site.world.proposal
    with asking.Client(base_url=site.url, headers={"Origin": site.url}) as browser:
        assert log_in(browser, LOGIN, PASSWORD).status_code == 303
        page = browser.get("/proposals").text
        found = re.search(r'name="csrf" value="([^"]+)"><input type="hidden" name="seen" value="36"', page)
        assert found is not None
        with psycopg.connect(database.owner_dsn) as owner:
            owner.execute("UPDATE trace.proposal SET quantity = 42 WHERE id = %s", [number])
        for form in ("approve", "reject", "override"):
            said = {"csrf": found[1], "seen": "36", "decision": "approve", "quantity": "36", "code": "other"}
            answer = browser.post(f"/proposals/{number}/{form}", data=said)
            assert answer.status_code == 409, form
            assert "建议数量已变" in answer.text
            row = browser.post(f"/proposals/{number}/{form}", data=said, headers={"HX-Request": "true"})
            assert row.status_code == 200, "the page shows nothing of a refusal"
            assert "建议数量已更新，现按最新数量显示。您的操作尚未生效。" in row.text
            assert 'name="seen" value="42"' in row.text
    old = erp.post(f"/proposals/{number}/decision", json={"decision": "approve", "seen": 36})
    assert (old.status_code, old.json()["code"]) == (409, "PROPOSAL_CHANGED")
    assert erp.get("/proposals").json()["proposals"][0]["state"] == "open"
    now = erp.post(f"/proposals/{number}/decision", json={"decision": "approve", "seen": 42})
    assert (now.status_code, now.json()["quantity"]) == (200, 42)


def test_every_kind_of_proposal_is_explained_in_both_languages(site: Site) -> None:
    kinds = {
        "transfer": ("surplus_elsewhere", {"stock": 80, "kept": 30, "to_stock": 2, "freight": 4.5}),
        "markdown": ("near_expiry", {"stock": 40, "left": 12.2, "days": 9, "p_sold": 0.1, "action": "markdown"}),
        "count": ("figure_uncertain", {"stock": 17, "p_wrong": 0.7, "value": 31.5}),
    }
    with psycopg.connect(site.world.owner_dsn) as owner:
        for kind, (code, parameters) in kinds.items():
            owner.execute(
                "INSERT INTO trace.proposal (brand, kind, site, to_site, gtin, quantity, need_by, reason, created_at,"
                " updated_at, model) SELECT brand, %(kind)s, site, CASE %(kind)s WHEN 'transfer' THEN"
                " (SELECT id FROM trace.site WHERE id <> proposal.site LIMIT 1) END, gtin, 12, current_date,"
                " %(reason)s, now(), now(), 'codefence-1' FROM trace.proposal WHERE kind = 'order'",
                {"kind": kind, "reason": json.dumps({"code": code, "parameters": parameters})},
            )
    with asking.Client(base_url=site.url, headers={"Origin": site.url}) as browser:
        log_in(browser, LOGIN, PASSWORD)
        chinese = browser.get("/proposals", headers={"Accept-Language": "zh"}).text
        english = browser.get("/proposals", headers={"Accept-Language": "en"}).text
    for text in ("调拨", "降价", "盘点", "留下的 30 件", "约有 12 件卖不完", "约为 70"):
        assert text in chinese
    for text in ("Transfer", "Markdown", "Count", "the other shop has 2", "9 days", "worth about ¥31.5"):
        assert text in english
